// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
)

// recipesPage is the document whose commands are run.
const recipesPage = "../../docs/recipes.md"

// A block is a fenced block of the page.
type block struct{ language, text string }

var fenced = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// readRecipes returns the fenced blocks of each section of the page, by the
// section's heading.
func readRecipes(t *testing.T) map[string][]block {
	t.Helper()
	text, err := os.ReadFile(recipesPage)
	if err != nil {
		t.Fatal(err)
	}
	recipes := map[string][]block{}
	for section := range strings.SplitSeq(string(text), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		for _, m := range fenced.FindAllStringSubmatch(body, -1) {
			if m[1] != "sh" && m[1] != "ini" && m[1] != "yaml" {
				t.Errorf("%s: a block of %q, which no test runs", title, m[1])
			}
			recipes[title] = append(recipes[title], block{m[1], m[2]})
		}
	}
	return recipes
}

// commands returns the commands of a recipe as one script.
func commands(blocks []block) string {
	var all strings.Builder
	for _, b := range blocks {
		if b.language == "sh" {
			all.WriteString(b.text)
		}
	}
	return all.String()
}

// prologue prepares the namespaces that a recipe runs in: directories that are
// written to are empty file systems, and /etc is a copy. What is started in the
// background ends with the script, because that is the first process of its
// namespace. The standard output is the file $LOG.
const prologue = `set -e
for dir in /usr/local/bin /srv /run; do mount -t tmpfs tmpfs $dir; done
cp "$VDE" /usr/local/bin/vde
if [ -n "${PROGRAM:-}" ]; then cp "$PROGRAM" /usr/local/bin/program; fi
cp -a /etc /run/etc
mount --bind /run/etc /etc
mount -t tmpfs -o mode=1777 tmpfs /tmp
ip link set lo up
echo 'hello from the other side' >/srv/hello
# The machine at the other end of the tunnel is this one.
printf '#!/bin/sh\nshift\nexec "$@"\n' >/usr/local/bin/ssh
chmod +x /usr/local/bin/ssh
# await runs a command until it succeeds.
await() {
	until "$@" >/dev/null 2>&1; do sleep 0.05; done
}
`

// A wait says what to do after the lines that match a pattern: a person waits
// between two commands, and a script has to be told for what. $1 and so on are
// the groups of the pattern. With again the line itself is repeated until it
// succeeds: it fails while the network is not complete, or the machine is slow.
type wait struct {
	line  *regexp.Regexp
	after string
	again bool
}

var waits = []wait{
	{regexp.MustCompile(`^vde switch .*(/(?:run|tmp)/\S+) &$`), `await grep -q "msg=serving dir=$1" "$$LOG"`, false},
	{regexp.MustCompile(`^vde serve (\S+) .* &$`), `await grep -q "^Serving $1 at" "$$LOG"`, false},
	{regexp.MustCompile(`^vde capture .*-w (\S+) &$`), `await test -s $1`, false},
	{regexp.MustCompile(`^vde_plug tap://(\S+) .*&$`), `await ip link show $1`, false},
	{regexp.MustCompile(`^ip netns exec (\S+) vde_plug tap://(\S+) .*&$`), `await ip -n $1 link show $2`, false},
	{regexp.MustCompile(`^vde ping .*[^&]$`), "", true},
	{regexp.MustCompile(`^runuser -u alice -- vde doctor --net \S+$`), "", true},
}

// withWaits inserts waits into a script.
func withWaits(script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		after := ""
		for _, w := range waits {
			if m := w.line.FindStringSubmatchIndex(line); m != nil && w.again {
				line = "until " + line + "; do sleep 0.05; done"
			} else if m != nil {
				after = string(w.line.ExpandString(nil, w.after, line, m)) + "\n"
			}
		}
		out.WriteString(line + "\n" + after)
	}
	return out.String()
}

// hang ends a recipe that hangs. It says nothing about how long one takes.
const hang = 5 * time.Minute

// runScript runs a script in namespaces of its own and returns its output, and
// an error if one of its commands fails.
func runScript(t *testing.T, program, script string) (string, error) {
	t.Helper()
	testpeers.Need(t, "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "unshare", "bash", "ip")
	dir := t.TempDir()
	name, log := filepath.Join(dir, "script"), filepath.Join(dir, "log")
	if err := os.WriteFile(name, []byte(prologue+withWaits(script)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), hang, errors.New("the recipe hangs"))
	defer cancel()
	// The script comes by descriptor, and the log is seen by descriptor, because
	// their directories are hidden in the script's namespace.
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "/dev/fd/3")
	cmd.Env = append(os.Environ(), "VDE="+program, "LOG=/dev/fd/4", commandVariable+"=1", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/root")
	cmd.Stdout, cmd.Stderr = out, out
	seen, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	cmd.ExtraFiles = []*os.File{in, seen}
	err = cmd.Run()
	text, readErr := os.ReadFile(log)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(text), errors.Join(err, context.Cause(ctx))
}

// checkScript runs a script, none of whose commands may fail, and looks for
// wants in its output.
func checkScript(t *testing.T, program, script string, wants ...string) {
	t.Helper()
	out, err := runScript(t, program, script)
	if err != nil {
		t.Errorf("%v\n%s\nthe script:\n%s", err, out, script)
	}
	wantLines(t, out, wants...)
}

// TestRecipes runs the commands of each recipe and looks for what it promises.
func TestRecipes(t *testing.T) {
	recipes := readRecipes(t)
	program := testpeers.TestBinaryForAnyUser(t)
	tests := []struct {
		title string
		needs []string
		want  []string
	}{
		{"A virtual machine", []string{"qemu-system-x86_64", "tcpdump"},
			[]string{`1 frames captured`, `52:54:00:12:34:56`}},
		{"A tap device of the kernel", []string{"vde_plug", "/dev/net/tun"},
			[]string{`\d+ bytes from 10\.0\.0\.1: seq=`}},
		{"Network namespaces and containers", []string{"vde_plug", "/dev/net/tun"},
			[]string{`\d+ bytes from 10\.0\.0\.11: seq=`, `\d+ bytes from 10\.0\.0\.12: seq=`}},
		{"Two machines, joined by ssh", nil,
			[]string{`\d+ bytes from 10\.0\.0\.1: seq=`, `(?m)^hello from the other side$`}},
		{"Two networks, joined by a bad line", []string{"tcpdump", "dpipe", "wirefilter"},
			[]string{`IP 10\.0\.0\.1 > 10\.0\.0\.2: ICMP echo reply`, `(?m)^ *from the first network +\d+ `, `filter starting(.|\n)*\d+ bytes from 10\.0\.0\.1: seq=`}},
		{"Capturing a conversation", []string{"tcpdump", "tshark"},
			[]string{`(?m)^hello from the other side$`, `IP 10\.0\.0\.2\.\d+ > 10\.0\.0\.1\.80: Flags \[S\]`,
				`10\.0\.0\.2 . 10\.0\.0\.1 +HTTP \d+ GET /hello`, `10\.0\.0\.1 . 10\.0\.0\.2 +HTTP \d+ HTTP/1\.1 200 OK`}},
		{"Permissions by group", []string{"groupadd", "useradd", "runuser"},
			[]string{`ok    frames arrive`, `may not be entered`, `(?m)^nobody cannot join$`}},
	}
	for _, test := range tests {
		blocks := recipes[test.title]
		delete(recipes, test.title)
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			testpeers.Need(t, test.needs...)
			if len(blocks) == 0 {
				t.Fatalf("the page has no such recipe, or no commands in it")
			}
			checkScript(t, program, commands(blocks), test.want...)
		})
	}
	const service = "A switch as a system service"
	unit := recipes[service]
	delete(recipes, service)
	t.Run(service, func(t *testing.T) {
		t.Parallel()
		testUnit(t, program, unit)
	})
	t.Run("a command fails", func(t *testing.T) {
		t.Parallel()
		if out, err := runScript(t, program, "vde switch --no-such-flag /run/vde.ctl\necho went on\n"); err == nil || strings.Contains(out, "went on") {
			t.Errorf("not noticed: %v\n%s", err, out)
		}
	})
	for title := range recipes {
		t.Errorf("the recipe %q is not tested", title)
	}
}

// testUnit has systemd check the units of the repository, with the file that the recipe adds
// to one, and runs its command with the recipe's settings, as a user with no more rights than
// the unit gives.
func testUnit(t *testing.T, program string, blocks []block) {
	if len(blocks) != 2 || blocks[0].language != "yaml" || blocks[1].language != "ini" {
		t.Fatalf("not settings and a file for the unit: %q", blocks)
	}
	unit, err := os.ReadFile("../../contrib/systemd/vde-switch@.service")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := os.ReadFile("../../contrib/systemd/vde-switch-metrics@.socket")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindSubmatch(unit)
	if m == nil {
		t.Fatalf("no ExecStart:\n%s", unit)
	}
	start := strings.ReplaceAll(string(m[1]), "%i", "lab")
	testpeers.Need(t, "setpriv", "groupadd", "useradd", "runuser")
	verify := "true" // systemd is not on every machine
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		// It ends well in spite of warnings.
		verify = "found=$(SYSTEMD_UNIT_PATH=/tmp/units: systemd-analyze verify --man=no vde-switch@lab.service vde-switch-metrics@lab.socket 2>&1)\n" +
			"test -z \"$found\" || { echo \"$found\"; false; }"
	}
	here := func(name string, text []byte) string { return "cat >" + name + " <<'END'\n" + string(text) + "END\n" }
	script := "groupadd vde-net\nuseradd --no-create-home --groups vde-net alice\n" +
		"mkdir -p /etc/vde /tmp/units/vde-switch@lab.service.d\n" +
		here("/etc/vde/lab.yaml", []byte(blocks[0].text)) + here("/tmp/units/vde-switch@.service", unit) +
		here("/tmp/units/vde-switch@lab.service.d/override.conf", []byte(blocks[1].text)) +
		here("/tmp/units/vde-switch-metrics@.socket", socket) + verify + "\n" +
		"install -d -o 64000 -g vde-net -m 755 /run/vde-lab\n" +
		"setpriv --reuid 64000 --regid vde-net --clear-groups --no-new-privs --bounding-set -all " + start + " &\n" +
		"await grep -q msg=serving \"$LOG\"\nrunuser -u alice -- vde doctor /run/vde-lab/ctl\n"
	checkScript(t, program, script, `ok    frames arrive`)
}

// TestRecipesWait checks that what a person waits for is inserted into a script.
func TestRecipesWait(t *testing.T) {
	got := withWaits("vde switch -x /run/a.ctl &\nvde ping 10.0.0.1 --net x --count 3\n")
	want := "vde switch -x /run/a.ctl &\nawait grep -q \"msg=serving dir=/run/a.ctl\" \"$LOG\"\n" +
		"until vde ping 10.0.0.1 --net x --count 3; do sleep 0.05; done\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
