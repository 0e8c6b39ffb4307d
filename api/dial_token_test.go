// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"strings"
	"testing"

	"github.com/go-vde/sdk/api"
)

// TestDialErrorsHideToken checks that the token in a URL is in no error, such as one about
// how it is written.
func TestDialErrorsHideToken(t *testing.T) {
	const secret = "s3cret"
	for _, url := range []string{"http://127.0.0.1:1/", "http://127.0.0.1:x/", "http://%zz/", "http://[::1/", "http://no such host/", "https://127.0.0.1:1/"} {
		_, err := api.Dial(t.Context(), url+"#token="+secret+"%z")
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
