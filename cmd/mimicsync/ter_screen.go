package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

func isTerminal(w io.Writer) bool {
	o, ok := w.(outlet)
	return ok && term.IsTerminal(int(o.Fd()))
}

// terminalWidth is how many columns a line has, 80 where that is unknown.
func terminalWidth(w io.Writer) int {
	if o, ok := w.(outlet); ok {
		if width, _, err := term.GetSize(int(o.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// The colours of ECMA-48, section 8.3.117.
const (
	bold   = "1"
	red    = "1;31"
	green  = "32"
	yellow = "33"
	faint  = "2"
)

// painter colours words on a terminal, unless people do not want that, see
// https://no-color.org.
func painter(w io.Writer) func(colour, text string) string {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_, text string) string { return text }
	}
	return func(colour, text string) string { return "\x1b[" + colour + "m" + text + "\x1b[0m" }
}

// columns is how wide lines may be, 0 for any length.
func columns(w io.Writer) int {
	o, ok := w.(outlet)
	if !ok {
		return 0
	}
	n, _, err := term.GetSize(int(o.Fd()))
	if err != nil {
		return 0
	}
	return min(n, 120)
}
