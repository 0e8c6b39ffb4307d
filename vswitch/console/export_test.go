// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import "time"

// SetWait sets how long the end of a line may be missing.
func (s *Server) SetWait(d time.Duration) { s.wait = d }
