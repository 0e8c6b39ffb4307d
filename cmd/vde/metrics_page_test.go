// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.yaml.in/yaml/v3"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// startMetrics runs vde switch with a page of metrics, and returns its control directory
// and the address of the page.
func startMetrics(t *testing.T, args ...string) (dir, addr string) {
	t.Helper()
	dir = filepath.Join(testutil.ShortDir(t), "sw")
	l, _ := startSwitch(t, append([]string{dir, "--metrics", "0"}, args...)...)
	return dir, regexp.MustCompile(`msg="serving metrics" addr=(\S+)`).FindStringSubmatch(l.String())[1]
}

// servePage serves the metrics of a switch without a port, and returns the page and its
// address. The switch lives until the end of the test.
func servePage(t *testing.T) (p *metricsPage, addr string) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	p, err := newMetricsPage(sw, "lab", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := listenMetrics(context.Background(), "0")
	if err != nil {
		t.Fatal(err)
	}
	p.serve(l, slog.New(slog.DiscardHandler))
	return p, l.Addr().String()
}

// fetch asks addr for path, under the name host, and returns the answer.
func fetch(t *testing.T, method, addr, path, host string) (code int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// TestMetricsPage checks that the page counts what passes, and that promlint finds nothing.
func TestMetricsPage(t *testing.T) {
	testutil.NoLeaks(t)
	dir, addr := startMetrics(t)
	if host, _, err := net.SplitHostPort(addr); err != nil || host != "127.0.0.1" {
		t.Errorf("serves %s: %v", addr, err)
	}
	from, to := openNet(t, dir+"[3]"), openNet(t, dir+"[4]")
	f := frameFor(stationB, stationA)
	passes(t, from, to, f, f)
	code, text := fetch(t, "GET", addr, "/metrics", "")
	if code != http.StatusOK {
		t.Fatalf("%d\n%s", code, text)
	}
	for _, want := range []string{
		`vde_switch_port_frames_total{direction="in",port="3",switch="` + dir + `"} [1-9]`,
		`vde_switch_port_endpoints{port="4",switch="` + dir + `"} 1\n`,
		`process_resident_memory_bytes [1-9]`, `go_goroutines [1-9]`, `go_build_info{`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestMetricsPageRefuses checks what the page does not answer.
func TestMetricsPageRefuses(t *testing.T) {
	testutil.NoLeaks(t)
	_, addr := startMetrics(t)
	for _, test := range []struct {
		method, path, host string
		code               int
	}{
		{"GET", "/metrics", "localhost:9100", http.StatusOK},
		{"GET", "/metrics", "[::1]", http.StatusOK},
		{"HEAD", "/metrics", "127.0.0.1", http.StatusOK},
		{"GET", "/metrics", "attacker.example", http.StatusForbidden},
		{"GET", "/metrics", "127.0.0.1.attacker.example:80", http.StatusForbidden},
		{"POST", "/metrics", "", http.StatusMethodNotAllowed},
		{"GET", "/", "", http.StatusNotFound},
		{"GET", "/debug/pprof/", "", http.StatusNotFound},
	} {
		if code, text := fetch(t, test.method, addr, test.path, test.host); code != test.code {
			t.Errorf("%s %s of %s: %d, want %d\n%s", test.method, test.path, test.host, code, test.code, text)
		}
	}
}

// TestMetricsPagePaces checks that many requests at once do not look at the counters at
// once: what cannot be answered soon is refused.
func TestMetricsPagePaces(t *testing.T) {
	testutil.NoLeaks(t)
	_, addr := startMetrics(t)
	var asking sync.WaitGroup
	codes := make([]int, 20)
	start := time.Now()
	for i := range codes {
		asking.Go(func() { codes[i], _ = fetch(t, "GET", addr, "/metrics", "") })
	}
	asking.Wait()
	answered := 0
	for _, code := range codes {
		switch code {
		case http.StatusOK:
			answered++
		case http.StatusServiceUnavailable:
		default:
			t.Errorf("status %d", code)
		}
	}
	if most := 1 + int(time.Since(start)/pagePause); answered == 0 || answered > most {
		t.Errorf("%d requests were answered in %v, of at most %d", answered, time.Since(start), most)
	}
}

// TestMetricsPageIdleClients checks that clients who send nothing keep the switch from
// nothing, and do not hold up its end.
func TestMetricsPageIdleClients(t *testing.T) {
	testutil.NoLeaks(t)
	p, addr := servePage(t)
	for range 2 * pageConns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// metricNames finds names of metrics in expressions of Prometheus.
var metricNames = regexp.MustCompile(`\b(?:vde|go|process)_[a-z0-9_]+`)

// notShown are the metrics of a switch that the dashboard and the alerts leave out: they
// follow from others that are shown, or are details of them.
var notShown = []string{
	"vde_switch_port_forwarded_total", "vde_switch_port_gso_frames_total", "vde_switch_port_gso_segments_total", "vde_switch_port_fdb_entries",
	"vde_switch_port_blocks_total", "vde_switch_monitor_bytes_total", "vde_switch_monitor_offered_total", "vde_switch_monitor_queued",
}

// TestMetricsUsed checks that the dashboard and the alerts name only metrics, causes and
// events that the page has, and all of its metrics of the switch but those of notShown.
func TestMetricsUsed(t *testing.T) {
	testutil.NoLeaks(t)
	dir, addr := startMetrics(t)
	openNet(t, dir)
	_, page := fetch(t, "GET", addr, "/metrics", "")
	dashboard, err := os.ReadFile("../../contrib/grafana/vde-switch.json")
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile("../../contrib/prometheus/vde-switch.yml")
	if err != nil {
		t.Fatal(err)
	}
	for name, exprs := range map[string][]string{"dashboard": dashboardExprs(t, dashboard), "alerts": alertExprs(t, alerts)} {
		if len(exprs) < 5 {
			t.Errorf("%s: %d expressions", name, len(exprs))
		}
		for _, expr := range exprs {
			checkExpr(t, name, expr, page)
		}
	}
	shown := metricNames.FindAllString(string(dashboard)+string(alerts), -1)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (vde_switch_\w+)`).FindAllStringSubmatch(page, -1) {
		if slices.Contains(shown, m[1]) == slices.Contains(notShown, m[1]) {
			t.Errorf("%s has to be either on the dashboard, in an alert, or in notShown", m[1])
		}
	}
}

var wordsOfLabel = regexp.MustCompile(`(cause|event|direction)=~?"([a-z_|]+)"`)

// checkExpr checks that what an expression names is on the page.
func checkExpr(t *testing.T, name, expr, page string) {
	t.Helper()
	for _, metric := range metricNames.FindAllString(expr, -1) {
		if !regexp.MustCompile(`(?m)^` + metric + `[ {]`).MatchString(page) {
			t.Errorf("%s: no metric %s, in %s", name, metric, expr)
		}
	}
	for _, m := range wordsOfLabel.FindAllStringSubmatch(expr, -1) {
		for value := range strings.SplitSeq(m[2], "|") {
			if !strings.Contains(page, m[1]+`="`+value+`"`) {
				t.Errorf("%s: no %s %q, in %s", name, m[1], value, expr)
			}
		}
	}
}

// dashboardExprs returns the expressions of a dashboard.
func dashboardExprs(t *testing.T, text []byte) (exprs []string) {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Definition string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		exprs = append(exprs, v.Definition)
	}
	return exprs
}

// alertExprs returns the expressions of alerts, after promtool has looked at them, if there
// is one.
func alertExprs(t *testing.T, text []byte) (exprs []string) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Expr == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%+v is not complete", r)
			}
			exprs = append(exprs, r.Expr)
		}
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "../../contrib/prometheus/vde-switch.yml").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	slices.Sort(exprs)
	return exprs
}
