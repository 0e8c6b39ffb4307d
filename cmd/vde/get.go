// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/netstack"
)

// getOptions are the flags of vde get.
type getOptions struct {
	hostOptions
	jsonOption
	output string
	quiet  bool
}

func newGet() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get URL",
		Short: "Download a file from a server on the network",
		Long: `Joins the network as a TCP/IP host, downloads URL by HTTP or HTTPS and leaves.
Nothing of this machine's own network is used, or has to be set up.`,
		Example: "  vde get http://10.0.0.1/image.qcow2 --net /run/vde.ctl --addr 10.0.0.2/24",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runGet(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.register(cmd)
	o.registerJSON(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "file to write, - for the standard output (default: the last part of the URL's path); devices, FIFOs and symbolic links are written through")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress bar and no figures")
	return cmd
}

func runGet(ctx context.Context, out, messages io.Writer, rawURL string, o getOptions) (err error) {
	if err := checkURL(rawURL); err != nil {
		return err
	}
	if o.json && o.output == "-" {
		return usageErrorf("--json and --output - both write to the standard output")
	}
	if o.output == "" {
		if o.output, err = fileName(rawURL); err != nil {
			return err
		}
	}
	host, err := o.open(ctx, "vde get")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return err
	}
	response, err := webClient(host).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: the server says %s", rawURL, response.Status)
	}

	bar := newBar(messages, response.ContentLength, "bytes", o.quiet || o.json)
	start := time.Now()
	n, err := save(ctx, o.output, out, io.TeeReader(response.Body, bar))
	t := transfer{n, time.Since(start)}
	_ = bar.Finish()
	if err == nil && o.json {
		return printJSON(out, getResult{rawURL, o.output, t.bytes, t.elapsed.Seconds(), host.Stats()})
	}
	if err != nil || o.quiet {
		return err
	}
	t.print(messages)
	_, err = hostTable(messages, namedHost{"here", host})
	return err
}

// A getResult is what vde get --json prints.
type getResult struct {
	URL     string             `json:"url"`
	File    string             `json:"file"`
	Bytes   int64              `json:"bytes"`
	Seconds float64            `json:"seconds"`
	Host    netstack.HostStats `json:"host"`
}

// checkURL reports what is wrong with a URL to download.
func checkURL(rawURL string) error {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return usageError{err}
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return usageErrorf("%q: give a URL such as http://10.0.0.1/image", rawURL)
	}
	return nil
}

// fileName returns the last part of the URL's path.
func fileName(rawURL string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", err // checked before
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" {
		return "", usageErrorf("%s names no file: give --output", rawURL)
	}
	return name, nil
}
