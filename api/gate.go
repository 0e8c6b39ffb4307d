// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/go-vde/sdk/api/connlimit"
	pb "github.com/go-vde/sdk/api/switchv1"
)

// maxRequest bounds a request. A port with all VLANs and a thousand static entries fits.
const maxRequest = 256 << 10

// A controllerKey is the key of a request's [http.ResponseController] in its context.
type controllerKey struct{}

// gate lets requests in that a allows, before anything of them but the header is read.
func (s *Server) gate(a Access, api http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	refuse := connecthttp.NewErrorWriter()
	token := sha256.Sum256([]byte(a.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		controller := http.NewResponseController(w)
		_ = controller.SetReadDeadline(time.Now().Add(s.options.Timeout))
		_ = controller.SetWriteDeadline(time.Now().Add(2 * s.options.Timeout))
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		isCall := strings.HasPrefix(r.URL.Path, "/"+pb.SwitchServiceName+"/")
		err := a.check(r, crossOrigin, &token, isCall)
		switch {
		case err != nil:
			h.Set("Connection", "close") // what comes after the header is not read
			_ = refuse.Write(w, r, err)
		case isCall && r.Method != http.MethodPost:
			h.Set("Allow", http.MethodPost)
			http.Error(w, "a call is a POST", http.StatusMethodNotAllowed)
		case isCall && !slices.Contains(contentTypes, contentType(r)):
			http.Error(w, "send the header \"Content-Type: application/json\", or for a stream one of "+strings.Join(contentTypes, ", "), http.StatusUnsupportedMediaType)
		case isCall:
			connlimit.Admit(r.Context())
			r.Body = http.MaxBytesReader(w, r.Body, maxRequest+5) // the prefix of a stream's message
			ctx := context.WithValue(r.Context(), controllerKey{}, controller)
			api.ServeHTTP(w, r.WithContext(ctx))
		case a.Page != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			a.Page.ServeHTTP(w, r)
		default:
			http.Error(w, "the API is at /"+pb.SwitchServiceName+"/", http.StatusNotFound)
		}
	})
}

// contentTypes are those of calls: none that a form can send. Clients of gRPC have others,
// and need HTTP/2.
var contentTypes = []string{"application/json", "application/proto", "application/connect+json", "application/connect+proto"}

// contentType returns the content type of a request without its parameters.
func contentType(r *http.Request) string {
	t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// check returns why the request is not let in.
func (a *Access) check(r *http.Request, crossOrigin *http.CrossOriginProtection, token *[sha256.Size]byte, isCall bool) error {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); !ok || local.Network() != "unix" {
		if !a.hostAllowed(r.Host) {
			return connect.Errorf(connect.CodePermissionDenied, "the host %q is not one of this server: use its address, or localhost", text(r.Host))
		}
	}
	if err := crossOrigin.Check(r); err != nil || foreignOrigin(r) {
		return connect.NewError(connect.CodePermissionDenied, "the request comes from a page of another site")
	}
	if !isCall || a.Token == "" {
		return nil
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(given)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], token[:]) != 1 {
		return connect.NewError(connect.CodeUnauthenticated, "the token is missing or wrong: send the header \"Authorization: Bearer TOKEN\"")
	}
	return nil
}

// foreignOrigin reports whether the request says that it comes from a page of another
// origin, whatever its method is.
func foreignOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin != "" && origin != "http://"+r.Host
}

// hostAllowed reports whether a request may be for the host: a name that somebody else can
// have lead here may not.
func (a *Access) hostAllowed(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	if _, err := netip.ParseAddr(name); err == nil || strings.EqualFold(name, "localhost") {
		return true
	}
	return slices.ContainsFunc(a.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// reading are the procedures that a server which only shows the switch answers.
var reading = []string{
	pb.SwitchServiceGetSwitchProcedure, pb.SwitchServiceListPortsProcedure, pb.SwitchServiceGetPortProcedure,
	pb.SwitchServiceListFDBProcedure, pb.SwitchServiceGetStatsProcedure, pb.SwitchServiceListMirrorsProcedure,
	pb.SwitchServiceWatchStatsProcedure, pb.SwitchServiceWatchEventsProcedure,
}

// guard returns what surrounds each call: what a does not allow is refused, streams are
// counted and end with the server, and a client that is slow is disconnected.
func (s *Server) guard(a Access) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			if a.ReadOnly && !slices.Contains(reading, spec.Procedure) {
				return connect.NewError(connect.CodePermissionDenied, "this server only shows the switch: use one that may change it, such as the unix socket")
			}
			timed := &timedStream{ServerStream: stream, timeout: s.options.Timeout}
			timed.controller, _ = ctx.Value(controllerKey{}).(*http.ResponseController)
			if spec.StreamType == connect.StreamTypeUnary {
				return next(ctx, spec, timed)
			}
			capture := spec.Procedure == pb.SwitchServiceCaptureProcedure
			if err := s.streams.enter(capture); err != nil {
				return err
			}
			defer s.streams.leave(capture)
			timed.streaming = true
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			defer context.AfterFunc(s.closing, func() { cancel(ErrClosed) })()
			return next(context.WithValue(ctx, streamKey{}, timed), spec, timed)
		}
	}
}

// A timedStream sets the deadlines of a request's connection.
type timedStream struct {
	connect.ServerStream
	controller *http.ResponseController // nil if there are none to set
	timeout    time.Duration
	streaming  bool
}

// Receive implements connect.ServerStream. What was to be read was read then, and only the
// end of the connection can follow, whenever it comes.
func (t *timedStream) Receive(msg any) error {
	err := t.ServerStream.Receive(msg)
	if err == nil && t.controller != nil {
		_ = t.controller.SetReadDeadline(time.Time{})
	}
	return err
}

// SendHeaders implements connect.ServerStream.
func (t *timedStream) SendHeaders() error {
	t.extend()
	return t.ServerStream.SendHeaders()
}

// Send implements connect.ServerStream.
func (t *timedStream) Send(msg any) error {
	t.extend()
	return t.ServerStream.Send(msg)
}

func (t *timedStream) extend() {
	if t.streaming && t.controller != nil {
		_ = t.controller.SetWriteDeadline(time.Now().Add(t.timeout))
	}
}
