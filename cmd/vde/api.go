// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/api/web"
	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/vswitch"
)

// apiOptions are the flags about the API of a switch.
type apiOptions struct {
	path      string
	off       bool
	mode      string
	group     string
	http      string
	httpWrite bool
	tokenFile string

	perm fs.FileMode  // what mode says
	addr *net.TCPAddr // what http says, nil if it is empty

	sockets []net.Listener // that systemd has opened, in place of path

	reload func(ctx context.Context) (changes []string, err error) // nil if there is nothing to reload
}

func (o *apiOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.path, "api", "", "serve the API at the unix socket `PATH` (default DIR/api)")
	f.BoolVar(&o.off, "no-api", false, "do not serve the API at a unix socket")
	f.StringVar(&o.mode, "api-mode", "", "permissions of the API's socket, octal (default 0600)")
	f.StringVar(&o.group, "api-group", "", "group of the API's socket")
	f.StringVar(&o.http, "http", "", "show the switch in a browser, and serve the API, read-only, at the TCP address `[HOST:]PORT`, on the loopback interface if no host is given; prints the URL with a token")
	f.BoolVar(&o.httpWrite, "http-write", false, "with --http: allow changes and captures")
	f.StringVar(&o.tokenFile, "http-token-file", "", "with --http: use the first line of `FILE` as the token; needed for an address that is not a loopback one")
}

// An apiServer serves the API of a switch until it is closed.
type apiServer struct {
	server *api.Server
	log    *slog.Logger
	end    context.CancelFunc
	serves sync.WaitGroup
}

// parse checks the flags.
func (o *apiOptions) parse() (err error) {
	if o.http == "" && (o.httpWrite || o.tokenFile != "") {
		return usageErrorf("--http-write and --http-token-file belong to --http")
	}
	if o.off && (o.path != "" || o.mode != "" || o.group != "") {
		return usageErrorf("--no-api goes with none of --api, --api-mode and --api-group")
	}
	if o.perm, err = parseMode("--api-mode", o.mode, 0o777); err != nil {
		return err
	}
	if o.http == "" {
		return nil
	}
	address, err := config.ListenAddress(o.http)
	if err != nil {
		return usageErrorf("--http %w", err)
	}
	if o.addr, err = net.ResolveTCPAddr("tcp", address); err != nil {
		return usageErrorf("--http %q: %w", o.http, err)
	}
	if !o.addr.IP.IsLoopback() && o.tokenFile == "" {
		return usageErrorf("--http %s: others can reach this address; use a loopback one, such as 127.0.0.1:%d, or give a token with --http-token-file", o.http, o.addr.Port)
	}
	return nil
}

// use takes the place of the flags by what the settings, which include them, say.
func (o *apiOptions) use(f *config.File) (err error) {
	o.path, o.off, o.perm, o.group = f.API.Path, f.API.Disabled, f.API.Mode, f.API.Group
	o.http, o.httpWrite, o.tokenFile = f.HTTP.Address, f.HTTP.Write, f.HTTP.TokenFile
	if o.http == "" {
		return nil
	}
	if o.http, err = config.ListenAddress(o.http); err == nil {
		o.addr, err = net.ResolveTCPAddr("tcp", o.http)
	}
	return err
}

// start serves the API of sw, whose control directory is dir, as o says.
func (o *apiOptions) start(sw *vswitch.Switch, dir string, logger *slog.Logger, messages io.Writer) (_ *apiServer, err error) {
	info, _ := debug.ReadBuildInfo()
	s := &apiServer{
		server: api.New(sw, api.Options{Version: versionOf(info).Version, Dirs: []string{dir}, Reload: o.reload, Logger: logger}),
		log:    logger,
	}
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, l := range o.sockets {
		if err := checkAPISocket(l); err != nil {
			return nil, err
		}
		s.serve(ctx, l, api.Access{})
	}
	if !o.off && len(o.sockets) == 0 {
		l, err := vswitch.ListenSocket(cmp.Or(o.path, filepath.Join(dir, api.SocketName)), o.perm, o.group)
		if err != nil {
			return nil, fmt.Errorf("the API's socket: %w", err)
		}
		s.serve(ctx, l, api.Access{})
	}
	if o.http != "" {
		return s, o.startHTTP(ctx, s, messages)
	}
	return s, nil
}

// apiSocket is the name of a socket that systemd opens for the API.
const apiSocket = "api"

// checkAPISocket returns an error if l, which systemd has opened, lets in everybody. The
// mode that systemd gives to sockets does, unless the unit says otherwise.
func checkAPISocket(l net.Listener) error {
	addr, ok := l.Addr().(*net.UnixAddr)
	if !ok {
		return fmt.Errorf("the API's socket that systemd has opened, %s, is not a unix socket; give --http for TCP", l.Addr())
	}
	info, err := os.Stat(addr.Name)
	if err != nil {
		return fmt.Errorf("the API's socket that systemd has opened: %w", err)
	}
	if info.Mode()&0o002 != 0 {
		return fmt.Errorf("the API's socket that systemd has opened, %s, lets in all users; give SocketMode=0600 in its unit", addr.Name)
	}
	return nil
}

// startHTTP serves the API and its page on TCP.
func (o *apiOptions) startHTTP(ctx context.Context, s *apiServer, messages io.Writer) (err error) {
	access := api.Access{ReadOnly: !o.httpWrite, Token: rand.Text(), Page: web.Handler()}
	if o.tokenFile != "" {
		if access.Token, err = readToken(o.tokenFile); err != nil {
			return err
		}
	}
	l, err := net.ListenTCP("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	s.serve(ctx, l, access)
	if o.tokenFile != "" {
		fmt.Fprintf(messages, "The switch is shown at %s#token= and the token\n", web.URL(l.Addr(), ""))
	} else {
		fmt.Fprintf(messages, "The switch is shown at %s\n", web.URL(l.Addr(), access.Token))
	}
	return nil
}

// readToken returns the first line of a file that not everybody may read.
func readToken(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() && info.Mode()&0o007 != 0 {
		return "", fmt.Errorf("%s: all users may use the token: chmod o= %s", name, name)
	}
	const shortest, longest = 16, 1024
	line, err := bufio.NewReader(io.LimitReader(f, longest)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	token := strings.TrimSpace(line)
	if len(token) < shortest {
		return "", fmt.Errorf("%s: a token of %d characters, want at least %d", name, len(token), shortest)
	}
	return token, nil
}

// serve answers on l until s is closed.
func (s *apiServer) serve(ctx context.Context, l net.Listener, a api.Access) {
	s.log.Info("serving the API", "at", l.Addr().String(), "write", !a.ReadOnly)
	s.serves.Go(func() {
		if err := s.server.Serve(ctx, l, a); ctx.Err() == nil {
			s.log.Error("the API is not served any more", "at", l.Addr().String(), "err", err)
		}
	})
}

// close ends the API and removes its socket.
func (s *apiServer) close() {
	s.end()
	s.serves.Wait()
	s.server.Close()
}

// before returns a context that ends when ctx has ended and then the API: its socket may
// be in the control directory, which can only be removed when it is empty.
func (s *apiServer) before(ctx context.Context) (context.Context, context.CancelFunc) {
	after, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		s.close()
		cancel(context.Cause(ctx))
	})
	return after, func() {
		stop()
		cancel(nil)
		s.close()
	}
}
