// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package exec

import (
	"os"
	"strings"
	"sync"
	"unicode"
)

// lastWords keeps the end of what a command writes to its standard error.
type lastWords struct {
	file *os.File      // nil if the standard error goes elsewhere
	done chan struct{} // closed when nothing more comes

	mu   sync.Mutex
	text []byte // guarded by mu; at most maxWords
}

// maxWords is how many bytes of the standard error are kept.
const maxWords = 512

func newLastWords() *lastWords { return &lastWords{done: make(chan struct{})} }

// follow reads from f, which may be nil, until its end. It owns f.
func (w *lastWords) follow(f *os.File) {
	if w.file = f; f == nil {
		close(w.done)
		return
	}
	go func() {
		defer close(w.done)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			w.add(buf[:n])
			if err != nil {
				return
			}
		}
	}()
}

func (w *lastWords) add(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, b...)
	w.text = append(w.text[:0], w.text[max(0, len(w.text)-maxWords):]...)
}

// last returns the last line that is not empty, as text without control characters.
func (w *lastWords) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.TrimSpace(string(w.text))
	text = strings.TrimSpace(text[strings.LastIndexAny(text, "\r\n")+1:])
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// close ends the reading.
func (w *lastWords) close() {
	if w.file != nil {
		w.file.Close()
	}
	<-w.done
}
