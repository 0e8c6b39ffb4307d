// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package libtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// TestHTTP2 sends requests at the same time, with bodies there and back, on one TCP
// connection between hosts, with and without TLS.
func TestHTTP2(t *testing.T) {
	serverTLS, clientTLS := tlsConfigs(t)
	t.Run("TLS", func(t *testing.T) { testHTTP2(t, serverTLS, clientTLS) })
	t.Run("Unencrypted", func(t *testing.T) { testHTTP2(t, nil, nil) })
}

const parallel = 8

func testHTTP2(t *testing.T, serverTLS, clientTLS *tls.Config) {
	first, second := hosts(t)
	protocols := new(http.Protocols)
	protocols.SetHTTP2(serverTLS != nil)
	protocols.SetUnencryptedHTTP2(serverTLS == nil)
	serveHTTP2(t, listen(t, first, ":80"), &http.Server{TLSConfig: serverTLS, Protocols: protocols})

	var dialled atomic.Int32
	transport := &http.Transport{
		TLSClientConfig: clientTLS, Protocols: protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled.Add(1)
			return second.DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	url := "http://" + first4.String() + ":80"
	if serverTLS != nil {
		url = "https://" + first4.String() + ":80"
	}
	if err := post(bound(t), client, url+"/alone", 1, 1<<20); err != nil { // makes the connection
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			if err := post(bound(t), client, url+"/together", byte(i), 256<<10); err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := dialled.Load(); n != 1 {
		t.Errorf("%d connections instead of one", n)
	}
}

// serveHTTP2 serves on l until the test ends. Bodies are sent back, those of /together
// when as many requests as the test makes have arrived.
func serveHTTP2(t *testing.T, l net.Listener, server *http.Server) {
	var arrived sync.WaitGroup
	arrived.Add(parallel)
	mux := http.NewServeMux()
	back := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("POST /alone", back)
	mux.HandleFunc("POST /together", func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		arrived.Wait()
		back(w, r)
	})
	server.Handler = mux
	served := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			served <- server.ServeTLS(l, "", "")
		} else {
			served <- server.Serve(l)
		}
	}()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// post sends a body to url and compares the answer with it.
func post(ctx context.Context, client *http.Client, url string, seed byte, size int64) error {
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, r)
	if err != nil {
		return err
	}
	resp, body := make(chan error, 1), make(chan *http.Response, 1)
	go func() {
		got, err := client.Do(req)
		body <- got
		resp <- err
	}()
	return echo(&exchange{w: w, body: body, resp: resp}, w.Close, seed, size)
}

// An exchange is a request and its response as a stream in both directions.
type exchange struct {
	w    *io.PipeWriter
	body chan *http.Response // of one element
	resp chan error
	got  *http.Response
}

func (e *exchange) Write(b []byte) (int, error) { return e.w.Write(b) }

func (e *exchange) Read(b []byte) (int, error) {
	if e.got == nil {
		e.got = <-e.body
		if err := <-e.resp; err != nil {
			e.w.CloseWithError(err)
			return 0, err
		}
		if e.got.ProtoMajor != 2 || e.got.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("%s %s", e.got.Proto, e.got.Status)
		}
	}
	n, err := e.got.Body.Read(b)
	if err != nil {
		e.got.Body.Close()
	}
	return n, err
}
