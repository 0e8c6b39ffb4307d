// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package web is the page that shows a running switch in a browser: its ports as a picture
// with the rates of this moment, the FDB, counters over the last minutes, frames dropped by
// cause, and events. With a server that allows it, the page also changes the switch.
//
//	server := api.New(sw, api.Options{})
//	go server.Serve(ctx, listener, api.Access{Token: token, ReadOnly: true, Page: web.Handler()})
//	fmt.Println(web.URL(listener.Addr(), token))
//
// The page is plain HTML, CSS and JavaScript, embedded as it is in the repository: nothing
// is built and nothing comes from another site. It shows nothing without the API, which it
// calls as any other client does, and which wants the token.
package web

import (
	"embed"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
)

//go:embed assets
var assets embed.FS

// policy allows what the page consists of and calls of its own server, and nothing else. It
// cannot be put into a frame of another page.
var policy = strings.Join([]string{
	"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'",
	"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
}, "; ")

// Handler returns the handler of the page, for the field Page of the API's Access. It takes
// GET and HEAD.
func Handler() http.Handler {
	root, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // the directory is embedded
	}
	files := http.FileServerFS(root)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		files.ServeHTTP(w, r)
	})
}

// URL returns the address of the page of a server at addr. The token is in the part that
// browsers keep to themselves; the page takes it out of the address bar.
func URL(addr net.Addr, token string) string {
	u := url.URL{Scheme: "http", Host: addr.String(), Path: "/"}
	if token != "" {
		u.Fragment = "token=" + token
	}
	return u.String()
}
