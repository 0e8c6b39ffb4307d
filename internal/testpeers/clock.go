// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// clockOffset is ten years in seconds.
const clockOffset = "315360000"

// RunWithClockOffset runs tests of the running test binary again, in a time namespace in which the monotonic
// clock is ten years ahead, and checks that each of them passes.
func RunWithClockOffset(ctx context.Context, t *testing.T, tests ...string) {
	t.Helper()
	Need(t, "unshare", "CAP_SYS_ADMIN")
	if _, err := os.Stat("/proc/self/ns/time"); err != nil {
		Skip(t, "time namespaces", "use Linux 5.6 or later")
	}
	cmd := exec.CommandContext(ctx, "unshare", "--time", "--monotonic", clockOffset, "--boottime", clockOffset, "--fork", "--kill-child",
		TestBinary(t), "-test.run", "^("+strings.Join(tests, "|")+")$", "-test.v")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range tests {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass:\n%s", name, out)
		}
	}
}
