// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/go-vde/sdk/api/connlimit"
	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/metrics"
	"github.com/go-vde/sdk/vswitch"
)

// Bounds of what clients of the page can cost.
const (
	pageConns    = 32                     // connections; one more closes one without a request
	pageRequests = 4                      // at a time; further ones are refused
	pagePause    = 100 * time.Millisecond // between two looks at the counters
)

// A metricsPage serves the counters of a switch, and those of the process, to Prometheus.
type metricsPage struct {
	server http.Server
	serves sync.WaitGroup
}

// listenMetrics listens on an address as config.ListenAddress takes it.
func listenMetrics(ctx context.Context, addr string) (net.Listener, error) {
	addr, err := config.ListenAddress(addr)
	if err != nil {
		return nil, err
	}
	var c net.ListenConfig
	return c.Listen(ctx, "tcp", addr)
}

// newMetricsPage returns the page of sw, which has the label switch="name".
func newMetricsPage(sw *vswitch.Switch, name string, log *slog.Logger) (*metricsPage, error) {
	collector := metrics.New()
	collector.AddSwitch(name, sw)
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collector, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector(),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	page := promhttp.HandlerFor(&pacedGatherer{gatherer: registry}, promhttp.HandlerOpts{MaxRequestsInFlight: pageRequests, ErrorLog: errorLog})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", admitted(page))
	p := &metricsPage{server: http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          errorLog,
	}}
	connlimit.New(pageConns).Bound(&p.server)
	return p, nil
}

// serve answers on l until p is closed.
func (p *metricsPage) serve(l net.Listener, log *slog.Logger) {
	log.Info("serving metrics", "addr", l.Addr().String())
	p.serves.Go(func() {
		if err := p.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "addr", l.Addr().String(), "reason", err)
		}
	})
}

// close ends p.
func (p *metricsPage) close() error {
	err := p.server.Close()
	p.serves.Wait()
	return err
}

// admitted lets in requests for h, except those that forThisMachine refuses.
func admitted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !forThisMachine(r) {
			http.Error(w, "this address is only for this machine: use 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		if r.ContentLength != 0 {
			http.Error(w, "a request for the page has no body", http.StatusBadRequest)
			return
		}
		connlimit.Admit(r.Context())
		h.ServeHTTP(w, r)
	})
}

// forThisMachine reports false for a request to a loopback address that was made for the
// name of another machine: a page of others in a browser of this machine could make it.
func forThisMachine(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}

// A pacedGatherer makes those who gather wait for each other, and for a pause: reading the
// counters of a switch holds up forwarding for a moment, and should not do so all the time.
type pacedGatherer struct {
	gatherer prometheus.Gatherer

	mu   sync.Mutex
	last time.Time // guarded by mu
}

// Gather implements [prometheus.Gatherer].
func (g *pacedGatherer) Gather() ([]*dto.MetricFamily, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	time.Sleep(time.Until(g.last.Add(pagePause)))
	defer func() { g.last = time.Now() }()
	return g.gatherer.Gather()
}
