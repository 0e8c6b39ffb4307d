// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package webtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/api/web"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

var pictures = flag.String("pictures", "", "write pictures of the page into this `directory`")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quote returns s as JavaScript.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(b)
}

// evil is a description that would be markup if the page took it for that.
const evil = `<img src=x onerror="document.title='taken'">`

func station(n int) frame.MAC { return frame.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)} }

// newLab returns a switch with n stations, which discard what they get.
func newLab(t *testing.T, n int) (*vswitch.Switch, []*vde.Conn) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{Name: "lab", DefaultPort: vswitch.PortConfig{Policy: vswitch.TailDrop}})
	var running sync.WaitGroup
	conns := make([]*vde.Conn, n)
	for i := range conns {
		c, err := sw.Attach(vde.WithPort(i+1), vde.WithDescription(description(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		running.Go(func() {
			for b := make([]byte, 2000); ; {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		})
	}
	t.Cleanup(func() {
		sw.Close()
		for _, c := range conns {
			c.Close()
		}
		running.Wait()
	})
	return sw, conns
}

func description(n int) string {
	if n == 2 {
		return evil
	}
	return fmt.Sprintf("station %d", n)
}

// send sends a frame from station from to station to, which are numbers of ports.
func send(t *testing.T, conns []*vde.Conn, from, to, size int) {
	t.Helper()
	f := make([]byte, size)
	frame.PutHeader(f, station(to), station(from), 0x88b5)
	if _, err := conns[from-1].Write(f); err != nil {
		t.Error(err)
	}
}

// The page shows the switch as it is and as it changes, and nothing that a station calls
// itself becomes part of the page.
func TestPageShows(t *testing.T) {
	sw, conns := newLab(t, 12)
	url := serve(t, sw, api.Access{})
	b := open(t, url, 1400, 1500)
	b.untilText("#state", "live")
	b.untilText("#name", "lab")
	b.untilText("#total-ports", "12")
	b.until(`document.querySelectorAll("#topology [data-port]").length === 12`)
	b.untilText("#ports-count", "12 ports")
	b.untilText("#ports", evil)
	for range 10 {
		send(t, conns, 1, 2, 1000)
		send(t, conns, 2, 1, 1000)
	}
	foreign := make([]byte, 60) // of a VLAN that the port is not in
	frame.PutHeader(foreign, station(1), station(3), 0x8100)
	foreign[15] = 9
	if _, err := conns[2].WriteBatch([][]byte{foreign, foreign, foreign}); err != nil {
		t.Fatal(err)
	}
	b.untilText("#drops", "in/vlan")
	b.untilText("#fdb", station(2).String())
	b.untilText("#events", "3 frames dropped at port 3: in/vlan")
	if _, err := conns[2].Write(foreign); err != nil {
		t.Fatal(err)
	}
	b.untilText("#events", "1 frame dropped at port 3: in/vlan")
	wantNumbers(t, b, sw)

	b.set("#ports-search", "STATION 11")
	b.untilText("#ports-count", "1 of 12 ports")
	b.set("#ports-search", "")
	b.set("#fdb-search", "port:1")
	b.untilText("#fdb-count", "1 entry")
	conns[11].Close()
	b.untilText("#total-ports", "11")
	b.untilText("#events", "station 12 (in-process) left port 12")
	b.until(`!document.querySelector("#topology [data-port='12']")`)
	if title := get(b, chromedp.Title()); title != "lab – VDE" || b.text("#main img") != "" {
		t.Errorf("the title is %q", title)
	}
	if address := get(b, chromedp.Location()); strings.Contains(address, "token") {
		t.Errorf("the token is still in the address %s", address)
	}
	if s := b.complaints(); s != "" {
		t.Errorf("the browser complains:\n%s", s)
	}
}

// wantNumbers checks that the page shows the counters that the switch has.
func wantNumbers(t *testing.T, b *browser, sw *vswitch.Switch) {
	t.Helper()
	b.click("#topology [data-port='1']")
	b.until(`document.querySelector("#port").open`)
	var p vswitch.PortStats
	for _, q := range sw.Stats().Ports {
		if q.Port == 1 {
			p = q
		}
	}
	b.untilText("#port-counters", fmt.Sprintf("%d frames", p.In.Frames))
	b.untilText("#port-counters", fmt.Sprintf("%d frames", p.Out.Frames))
	b.untilText("#port-endpoints", "station 1, in-process")
	b.click("#port-close")
	b.until(`!document.querySelector("#port").open`)
	b.untilText("#total-dropped", "4 in all")
}

// The page changes what the API lets it change.
func TestPageChanges(t *testing.T) {
	sw, conns := newLab(t, 4)
	b := open(t, serve(t, sw, api.Access{}), 1400, 1200)
	b.untilText("#total-ports", "4")
	b.click("#topology [data-port='3']")
	b.set("#port-vlan", "10")
	b.set("#port-tagged", "20+30-32")
	b.set("#port-policy", "head-drop")
	b.click("#port-save")
	b.untilText("#ports", "10 (20+30-32)")
	b.until(`!document.querySelector("#port-settings").disabled`)
	pc, err := sw.Port(3)
	if err != nil || pc.VLAN != 10 || len(pc.Tagged) != 4 || pc.Tagged[3] != 32 || pc.Policy != vswitch.HeadDrop {
		t.Errorf("port 3 is %+v, %v", pc, err)
	}
	b.set("#port-tagged", "all")
	b.click("#port-save")
	b.untilText("#ports", "10 (all)")
	b.until(`!document.querySelector("#port-settings").disabled`)
	if pc, err := sw.Port(3); err != nil || !slices.Equal(pc.Tagged, vswitch.AllVLANs()) {
		t.Errorf("port 3 has %d tagged VLANs, %v", len(pc.Tagged), err)
	}
	b.set("#port-in-delay", "1.5")
	b.set("#port-out-loss", "7")
	b.set("#port-out-rate", "1000000")
	b.click("#port-save")
	b.untilText("#port-about", "impaired")
	b.until(`!document.querySelector("#port-settings").disabled`)
	bad := impair.Config{In: impair.Impairment{Delay: 1500 * time.Microsecond}, Out: impair.Impairment{Loss: 0.07, Rate: 1e6}}
	if pc, err := sw.Port(3); err != nil || pc.Impair != bad {
		t.Errorf("port 3 is impaired as %+v, %v", pc.Impair, err)
	}
	b.set("#port-vlan", "5000")
	b.click("#port-save")
	b.untilText("#port-error", "5000")
	b.until(`!document.querySelector("#port-settings").disabled`)
	b.set("#port-mirror", "4")
	b.click("#port-mirror-add")
	b.untilText("#port-mirror-list", "mirrored to port 4")
	if m := sw.Mirrors(); len(m) != 1 || m[0] != (vswitch.MirrorInfo{Src: 3, Dst: 4}) {
		t.Errorf("mirrors: %v", m)
	}
	b.picture("port")
	b.click("#port-endpoints button")
	<-conns[2].Context().Done()
	b.untilText("#total-ports", "3")
	b.click("#port-close")
	b.set("#hub", "true")
	b.untilText("#events", "configured")
	if !sw.Hub() {
		t.Error("no hub")
	}
	if s := b.complaints(); strings.Contains(s, "rror") && !strings.Contains(s, "400") { // the refused change is logged by the browser
		t.Errorf("the browser complains:\n%s", s)
	}
}

// A page of a server that only shows has nothing to change with, and one without the right
// token shows nothing.
func TestPageReadOnly(t *testing.T) {
	sw, _ := newLab(t, 2)
	url := serve(t, sw, api.Access{ReadOnly: true})
	b := open(t, url, 1000, 900)
	b.untilText("#total-ports", "2")
	b.untilText("#about", "read only")
	b.click("#topology [data-port='1']")
	b.until(`document.querySelector("#port").open && document.querySelector("#port-settings").disabled && document.querySelector("#switch-buttons").hidden`)
	wrong, _, _ := strings.Cut(url, "#")
	eval[bool](b, `sessionStorage.clear(), true`)
	b.run(chromedp.Navigate(wrong))
	b.until(`!document.querySelector("#login").hidden && document.querySelector("#main").hidden`)
	b.set("#token", "another one")
	eval[bool](b, `document.querySelector("#login").requestSubmit(), true`)
	b.untilText("#state", "this token is not that of the switch")
	b.set("#token", token)
	eval[bool](b, `document.querySelector("#login").requestSubmit(), true`)
	b.untilText("#total-ports", "2")
}

// A thousand ports are one table of a few rows, and what is drawn each second takes little
// time.
func TestPageOfThousandPorts(t *testing.T) {
	if testing.Short() {
		t.Skip("in the long run")
	}
	sw, conns := newLab(t, 1000)
	b := open(t, serve(t, sw, api.Access{}), 1400, 1500)
	b.untilText("#total-ports", "1,000")
	eval[bool](b, `window.longest = [],
		new PerformanceObserver(l => window.longest.push(...l.getEntries().map(e => e.duration))).observe({type: "longtask"}), true`)
	end := time.Now().Add(10 * time.Second)
	for n := 0; time.Now().Before(end); n++ {
		send(t, conns, n%1000+1, (n*7)%1000+1, 1000)
		if n%1000 == 999 {
			time.Sleep(10 * time.Millisecond) // a rate, not a wait for something
		}
	}
	rows := eval[int](b, `document.querySelectorAll("#ports .space .row").length`)
	if rows < 10 || rows > 100 {
		t.Errorf("%d rows are elements", rows)
	}
	t.Logf("tasks of more than 50 ms, in milliseconds: %v", eval[[]float64](b, `window.longest`))
	b.untilText("#ports-count", "1,000 ports")
	b.picture("thousand")
}

// picture writes a picture of the page in both themes, if that is asked for.
func (b *browser) picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	for _, theme := range []string{"light", "dark"} {
		eval[string](b, `document.documentElement.dataset.theme = `+quote(theme))
		png := get(b, chromedp.FullScreenshot(100))
		if err := os.WriteFile(fmt.Sprintf("%s/%s-%s.png", *pictures, name, theme), png, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// The files of the page forbid all that it does not need, and nothing is elsewhere.
func TestPagePolicy(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	base, _, _ := strings.Cut(serve(t, sw, api.Access{}), "#")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, status := range map[string]int{"": 200, "app.js": 200, "style.css": 200, "icon.svg": 200, "nothing": 404, "../web.go": 404, "..%2fweb.go": 404} {
		r, err := client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != status || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(r.Header.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%q: %s, %v", path, r.Status, r.Header)
		}
	}
	if r, err := client.Post(base, "text/plain", nil); err != nil || r.StatusCode < 400 {
		t.Errorf("POST: %v, %v", r, err)
	} else {
		r.Body.Close()
	}
	if got := web.URL(addr("127.0.0.1:80"), "a b"); got != "http://127.0.0.1:80/#token=a%20b" {
		t.Errorf("the address is %s", got)
	}
}

type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }
