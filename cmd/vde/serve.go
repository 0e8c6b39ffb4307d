// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/netstack"
)

// serveOptions are the flags of vde serve.
type serveOptions struct {
	hostOptions
	jsonOption
	port uint16
}

// Once the server has been told to stop, transfers in progress may take so long,
// and their last bytes so long to be acknowledged, if the peers still live.
const (
	lastTransfers = 2 * time.Second
	lastBytes     = time.Second
)

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "Serve the files below DIR to the network by HTTP",
		Long: `Joins the network as a TCP/IP host and serves the files below DIR by HTTP, until
it is interrupted or the network goes away. Links that lead out of DIR are not
followed. With --json, an object says that it serves, and at which URLs.`,
		Example: "  vde serve /srv/images --net /run/vde.ctl --addr 10.0.0.1/24",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runServe(cmd.Context(), cmd.OutOrStdout(), args[0], o)
		},
	}
	o.register(cmd)
	o.registerJSON(cmd)
	cmd.Flags().Uint16VarP(&o.port, "port", "p", 80, "TCP port to listen on")
	return cmd
}

func runServe(ctx context.Context, out io.Writer, dir string, o serveOptions) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	host, err := o.open(ctx, "vde serve")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	listener, err := host.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(o.port))))
	if err != nil {
		return err
	}
	served := serveResult{Directory: dir}
	for _, addr := range host.Addrs() {
		url := fmt.Sprintf("http://%s/", net.JoinHostPort(addr.Addr().String(), strconv.Itoa(int(o.port))))
		served.URLs = append(served.URLs, url)
		fmt.Fprintf(o.text(out), "Serving %s at %s\n", printable(dir), url)
	}
	if o.json {
		if err := printJSON(out, served); err != nil {
			return err
		}
	}
	return serveHTTP(ctx, host, listener, http.FileServerFS(root.FS()))
}

// A serveResult is what vde serve --json prints.
type serveResult struct {
	Directory string   `json:"directory"`
	URLs      []string `json:"urls"`
}

// serveHTTP serves until ctx ends, and then gives transfers in progress a little
// time.
func serveHTTP(ctx context.Context, host *netstack.Host, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		background := context.WithoutCancel(ctx)
		last, cancel := context.WithTimeout(background, lastTransfers)
		defer cancel()
		err := server.Shutdown(last)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // they had their time
		}
		last, cancel = context.WithTimeout(background, lastBytes)
		defer cancel()
		_ = host.Shutdown(last) // a peer that has left does not acknowledge, and nobody can help it
		stopped <- err
	})
	err := server.Serve(listener)
	if stop() { // the network went away
		return errors.Join(err, server.Close())
	}
	return <-stopped
}
