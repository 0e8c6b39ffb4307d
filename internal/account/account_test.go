// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package account_test

import (
	"errors"
	"os/user"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/account"
)

// TestGroupID checks names, numbers, and the text and identity of the error, whose name the
// caller says.
func TestGroupID(t *testing.T) {
	for name, want := range map[string]int{"": account.NoGroup, "0": 0, "4711": 4711} {
		if got, err := account.GroupID(name); got != want || err != nil {
			t.Errorf("%q is %d, %v, want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"nosuchgroup", "-1", "99999999999"} {
		got, err := account.GroupID(name)
		var unknown user.UnknownGroupError
		if got != account.NoGroup || !errors.As(err, &unknown) || strings.Contains(err.Error(), name) {
			t.Errorf("%q is %d, %v", name, got, err)
		}
	}
}
