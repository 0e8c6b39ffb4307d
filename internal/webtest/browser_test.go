// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package webtest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/api/web"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vswitch"
)

// watchdog is for hangs.
const watchdog = 3 * time.Minute

const token = "a token of this test"

// serve serves the API and the page of sw on the loopback until the test ends, and returns
// the address of the page.
func serve(t *testing.T, sw *vswitch.Switch, a api.Access) string {
	t.Helper()
	return serveWith(t, sw, a, api.Options{})
}

// serveWith is serve with options.
func serveWith(t *testing.T, sw *vswitch.Switch, a api.Access, o api.Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.Token, a.Page = token, web.Handler()
	o.Version, o.Dirs = "test", []string{"/run/lab.ctl"}
	s := api.New(sw, o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Serve(ctx, l, a); !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		s.Close()
	})
	return web.URL(l.Addr(), token)
}

// A browser is one page in Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	messages []string // of the console: errors, warnings, what the policy forbade
}

// open opens the page at url in a new Chromium, which ends with the test.
func open(t *testing.T, url string, width, height int) *browser {
	t.Helper()
	path := chromium(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-dev-shm-usage", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	allocator, cancel := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.event); err != nil {
		t.Fatal(err)
	}
	b.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		return err
	}), chromedp.EmulateViewport(int64(width), int64(height)), chromedp.Navigate(url))
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("Chromium did not end: %v", err)
		}
	})
	return b
}

// chromium returns the path of the browser.
func chromium(t *testing.T) string {
	t.Helper()
	testpeers.Need(t, "chromium")
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// event notes what the page complains about.
func (b *browser) event(e any) {
	text := ""
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		for _, a := range e.Args {
			text += a.Description + " "
		}
	case *log.EventEntryAdded:
		text = e.Entry.Text + " " + e.Entry.URL
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, text)
}

// complaints returns what the page has complained about since the last call.
func (b *browser) complaints() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := strings.Join(b.messages, "\n")
	b.messages = nil
	return text
}

// run does something in the browser.
func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.complaints())
	}
}

// get does something in the browser that has a result.
func get[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.complaints())
	}
	return v
}

// eval returns the value of a JavaScript expression.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression))
}

// text returns the text of an element.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return eval[string](b, `document.querySelector(`+quote(selector)+`)?.textContent ?? ""`)
}

// until waits until the JavaScript expression is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	poll := chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingTimeout(watchdog), chromedp.WithPollingInterval(20*time.Millisecond))
	if _, err := chromedp.Run(b.ctx, poll); err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		b.t.Fatalf("not reached: %s: %v\n%s\n%s", expression, err, b.complaints(), page)
	}
}

// untilText waits until the text of an element contains text.
func (b *browser) untilText(selector, text string) {
	b.t.Helper()
	b.until(`(document.querySelector(` + quote(selector) + `)?.textContent ?? "").includes(` + quote(text) + `)`)
}

// set sets the value of a field as somebody who types does.
func (b *browser) set(selector, value string) {
	b.t.Helper()
	eval[bool](b, `(() => {
		const e = document.querySelector(`+quote(selector)+`);
		if (e.type === "checkbox") e.checked = `+quote(value)+` === "true"; else e.value = `+quote(value)+`;
		e.dispatchEvent(new Event("input", {bubbles: true}));
		e.dispatchEvent(new Event("change", {bubbles: true}));
		return true;
	})()`)
}

// click clicks an element.
func (b *browser) click(selector string) {
	b.t.Helper()
	eval[bool](b, `document.querySelector(`+quote(selector)+`).dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true})), true`)
}
