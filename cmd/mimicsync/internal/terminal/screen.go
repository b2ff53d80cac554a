package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether w is an Outlet to a terminal.
func IsTerminal(w io.Writer) bool {
	o, ok := w.(Outlet)
	return ok && term.IsTerminal(int(o.Fd()))
}

// terminalWidth is how many columns a line has, 80 if unknown.
func terminalWidth(w io.Writer) int {
	if o, ok := w.(Outlet); ok {
		if width, _, err := term.GetSize(int(o.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// The colors of ECMA-48, section 8.3.117.
const (
	Bold   = "1"
	Red    = "1;31"
	Green  = "32"
	Yellow = "33"
	Faint  = "2"
)

// Painter colors words on a terminal, unless people don't want that, see
// https://no-color.org.
func Painter(w io.Writer) func(colour, text string) string {
	if !IsTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_, text string) string { return text }
	}
	return func(colour, text string) string { return "\x1b[" + colour + "m" + text + "\x1b[0m" }
}

// Columns is how wide lines may be, 0 for any length.
func Columns(w io.Writer) int {
	o, ok := w.(Outlet)
	if !ok {
		return 0
	}
	n, _, err := term.GetSize(int(o.Fd()))
	if err != nil {
		return 0
	}
	return min(n, 120)
}
