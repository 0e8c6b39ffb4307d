// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"testing"

	"github.com/go-vde/sdk/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }
