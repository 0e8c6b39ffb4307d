// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

const token = "0123456789abcdef"

// serveTCP serves the API of l on a loopback address too and returns the address.
func (l *lab) serveTCP(a api.Access) string {
	l.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.server.Serve(ctx, listener, a)
	}()
	l.t.Cleanup(func() { cancel(); <-done })
	return listener.Addr().String()
}

// TestServeNeedsToken checks that nothing is served to a whole machine by mistake.
func TestServeNeedsToken(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.server.Serve(t.Context(), listener, api.Access{}); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("Serve returned %v", err)
	}
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}

const flush = "/vde.switch.v1.SwitchService/FlushFDB"

// with returns the headers of a client, changed as said: a name and a value in turn.
func with(pairs ...string) map[string]string {
	h := map[string]string{"Content-Type": "application/json", "Authorization": "Bearer " + token}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = pairs[i+1]
	}
	return h
}

// gateCases are requests as browsers, scripts and strangers would send. ADDR and PORT are
// those of the server.
var gateCases = []struct {
	name, method, path, host string
	header                   map[string]string
	status                   int
}{
	{"a client", "POST", flush, "", with(), 200},
	{"localhost", "POST", flush, "localhost:PORT", with(), 200},
	{"IPv6", "POST", flush, "[::1]:PORT", with(), 200},
	{"a name of ours", "POST", flush, "LAB.example", with(), 200},
	{"our page", "POST", flush, "", with("Origin", "http://ADDR", "Sec-Fetch-Site", "same-origin"), 200},
	{"no token", "POST", flush, "", with("Authorization", ""), 401},
	{"a wrong token", "POST", flush, "", with("Authorization", "Bearer "+token+"x"), 401},
	{"half a token", "POST", flush, "", with("Authorization", "Bearer "+token[:8]), 401},
	{"another scheme", "POST", flush, "", with("Authorization", "Basic "+token), 401},
	{"the token in the path", "POST", flush + "?token=" + token, "", with("Authorization", ""), 401},
	{"the token in a cookie", "POST", flush, "", with("Authorization", "", "Cookie", "token="+token), 401},
	{"a name led here", "POST", flush, "attacker.example:PORT", with(), 403},
	{"a name that begins like ours", "POST", flush, "localhost.attacker.example", with(), 403},
	{"a name that is nearly an address", "POST", flush, "127.0.0.1.attacker.example", with(), 403},
	{"another site", "POST", flush, "", with("Origin", "http://attacker.example"), 403},
	{"another port", "POST", flush, "", with("Origin", "http://127.0.0.1:1"), 403},
	{"a sandbox", "POST", flush, "", with("Origin", "null"), 403},
	{"another site, by fetch metadata", "POST", flush, "", with("Sec-Fetch-Site", "cross-site"), 403},
	{"a sibling", "POST", flush, "", with("Sec-Fetch-Site", "same-site"), 403},
	{"a form", "POST", flush, "", with("Content-Type", "application/x-www-form-urlencoded"), 415},
	{"a form with a file", "POST", flush, "", with("Content-Type", "multipart/form-data; boundary=x"), 415},
	{"a form with text", "POST", flush, "", with("Content-Type", "text/plain"), 415},
	{"no type", "POST", flush, "", with("Content-Type", ""), 415},
	{"gRPC", "POST", flush, "", with("Content-Type", "application/grpc+proto"), 415},
	{"GET", "GET", flush + "?encoding=json&message=%7B%7D", "", with(), 405},
	{"a preflight", "OPTIONS", flush, "", map[string]string{"Origin": "http://attacker.example", "Access-Control-Request-Method": "POST"}, 403},
	{"a preflight of ours", "OPTIONS", flush, "", with(), 405},
	{"another call", "POST", "/vde.switch.v1.SwitchService/Shutdown", "", with(), 501},
	{"no call", "POST", "/", "", with(), 404},
	{"the page", "GET", "/", "", nil, 200},
	{"the page at another name", "GET", "/", "attacker.example", nil, 403},
	{"the page of another site", "GET", "/", "", map[string]string{"Origin": "http://attacker.example"}, 403},
}

// TestGate sends gateCases over TCP.
func TestGate(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	addr := l.serveTCP(api.Access{Token: token, Hosts: []string{"lab.example"}, Page: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "page")
	})})
	_, port, _ := net.SplitHostPort(addr)
	fill := strings.NewReplacer("ADDR", addr, "PORT", port)
	for _, c := range gateCases {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+addr+c.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.header {
			if v != "" {
				r.Header.Set(k, fill.Replace(v))
			}
		}
		r.Host = fill.Replace(c.host)
		r.Close = true
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		b, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, answer.StatusCode, c.status, b)
		}
		for k := range answer.Header {
			if strings.HasPrefix(k, "Access-Control-") {
				t.Errorf("%s: the answer has %s", c.name, k)
			}
		}
		if answer.StatusCode >= 400 && len(b) == 0 {
			t.Errorf("%s: the answer says nothing", c.name)
		}
	}
}

// TestRequestSize checks that a request is not read beyond its bound, in each form.
func TestRequestSize(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	long := `{"pageToken": "` + strings.Repeat("x", 257<<10) + `"}`
	if status, body := l.post("ListPorts", long, nil); status != 429 || !strings.Contains(body, "resource_exhausted") {
		t.Errorf("a long request: %d %.200s", status, body)
	}
	deep := strings.Repeat(`{"config":`, 10000) + strings.Repeat("}", 10000)
	if status, body := l.post("SetPort", deep, nil); status != 400 {
		t.Errorf("a deep request: %d %.200s", status, body)
	}
	stream := http.Header{"Content-Type": {"application/connect+json"}}
	prefix := binary.BigEndian.AppendUint32([]byte{0}, 1<<31)
	status, body := l.post("WatchEvents", string(prefix)+"{}", stream)
	if status != 200 || !strings.Contains(body, "error") {
		t.Errorf("a stream whose request is 2 GB: %d %.200q", status, body)
	}
	for _, encoding := range []string{"gzip", "br"} {
		if status, body := l.post("ListPorts", "{}", http.Header{"Content-Encoding": {encoding}}); status != 501 {
			t.Errorf("%s: %d %s", encoding, status, body)
		}
	}
	must(l.client.GetSwitch(t.Context(), &pb.GetSwitchRequest{}))(t)
}

// TestSlowRequests checks that a client which sends its request slowly, or not to its end,
// is disconnected, and others are served meanwhile.
func TestSlowRequests(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{Timeout: 200 * time.Millisecond}, api.Access{})
	const head = "POST /vde.switch.v1.SwitchService/GetSwitch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
	var conns []net.Conn
	for _, sent := range []string{"", "P", head, head + "\r\n", head + "\r\n{"} {
		c, err := net.Dial("unix", l.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for range 10 {
		must(l.client.GetSwitch(t.Context(), &pb.GetSwitchRequest{}))(t)
	}
	for i, c := range conns {
		// The test hangs if the connection is not closed.
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Logf("connection %d: %v", i, err) // reset: what it sent was not read
		}
	}
}

// TestSlowReader checks that a client which does not read its stream is disconnected, and
// that it delays nobody.
func TestSlowReader(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{Timeout: 200 * time.Millisecond, MaxStreams: 4}, api.Access{})
	a := l.attach()
	c, err := net.Dial("unix", l.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := `{"port": 1}`
	fmt.Fprintf(c, "POST /vde.switch.v1.SwitchService/Capture HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: %d\r\n\r\n%s%s",
		5+len(request), binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request))), request)
	begun := bufio.NewReader(c)
	for { // to the end of the first answer's prefix
		line := must(begun.ReadString('\n'))(t)
		if strings.HasPrefix(line, "HTTP/1.1 ") && !strings.Contains(line, " 200 ") {
			t.Fatal(line)
		}
		if line == "\r\n" {
			break
		}
	}
	// One capture may run; the second may when the server has given up the first.
	second := func() error {
		stream := must(l.client.Capture(t.Context(), &pb.CaptureRequest{Port: portOne}))(t)
		defer stream.Close()
		_, err := stream.Receive()
		return err
	}
	wantError(t, "the second capture", second(), connect.CodeResourceExhausted, "end one of them first")
	big := append(flooded(1), make([]byte, 1400)...)
	for connect.CodeOf(second()) == connect.CodeResourceExhausted {
		if _, err := a.WriteBatch([][]byte{big, big, big, big}); err != nil {
			t.Fatal(err)
		}
	}
	// What was under way to the client is there, and the end.
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

var portOne = func() *uint32 { n := uint32(1); return &n }()

// TestManyStreams checks the bound of streams, and that those which have ended count no
// more.
func TestManyStreams(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{MaxStreams: 3}, api.Access{})
	open := func() (pb.SwitchServiceWatchEventsClientStream, error) {
		stream := must(l.client.WatchEvents(t.Context(), &pb.WatchEventsRequest{}))(t)
		_, err := stream.Receive()
		return stream, err
	}
	for range 3 {
		var streams []pb.SwitchServiceWatchEventsClientStream
		for len(streams) < 3 {
			stream, err := open()
			if err != nil { // those of the round before may not be over yet
				wantError(t, "a stream", err, connect.CodeResourceExhausted)
				stream.Close()
				continue
			}
			streams = append(streams, stream)
		}
		stream, err := open()
		wantError(t, "the fourth", err, connect.CodeResourceExhausted, "3 streams are open", "end one")
		stream.Close()
		must(l.client.GetSwitch(t.Context(), &pb.GetSwitchRequest{}))(t)
		for _, s := range streams {
			s.Close()
		}
	}
}

// TestManyConnections floods a listener with connections that send nothing, or half a
// request, or none with the token. Those that have been let in go on, and others find room.
func TestManyConnections(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{MaxConns: 8}, api.Access{})
	addr := l.serveTCP(api.Access{Token: token})
	client := must(api.Dial(t.Context(), "http://"+addr+"/#token="+token))(t)
	defer client.Close()
	stream := must(client.WatchEvents(t.Context(), &pb.WatchEventsRequest{}))(t)
	defer stream.Close()
	must(stream.Receive())(t)
	for i := range 200 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, []string{"", "POST /", "GET / HTTP/1.1\r\nHost: localhost\r\n"}[i%3])
		if i%20 == 0 {
			must(client.GetSwitch(t.Context(), &pb.GetSwitchRequest{}))(t)
		}
	}
	l.attach()
	if events := must(stream.Receive())(t).GetEvents(); len(events) == 0 {
		t.Error("no event")
	}
}

// TestDialErrors checks what is said when nothing answers.
func TestDialErrors(t *testing.T) {
	dir := testutil.ShortDir(t)
	for _, c := range []struct{ target, want string }{
		{dir + "/none", "no such file"},
		{dir, "serves no API"},
		{"/etc/passwd", "no socket"},
		{"http://127.0.0.1:1", "refused"},
		{"http://\x7f", "invalid"},
	} {
		if client, err := api.Dial(t.Context(), c.target); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, %v, want %q", c.target, client, err, c.want)
		}
	}
}
