package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// A server that hangs up is in trouble, and no error of this program.
func TestAServerThatHangsUp(t *testing.T) {
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF} {
		if a := advise(fmt.Errorf("the newest version: %w", err)); a.code != exitIncomplete || !strings.Contains(a.hint, "the server has trouble") {
			t.Errorf("advise(%v) = %+v", err, a)
		}
	}
}
