// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package webtest tests the page of package api/web in a real browser, Chromium without a
// window, and makes the pictures of it that the documentation shows. It has no code but
// tests. It is a module of its own below internal, so that nobody who uses the API inherits
// what drives the browser.
package webtest
