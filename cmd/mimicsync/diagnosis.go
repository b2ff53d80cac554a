package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// diagnosis tells what doctor has found: a paragraph for each thing it has
// looked at, a line for each check, and below it what to do.
func (u *ui) diagnosis(d diagnosis) {
	paint := painter(u.stdout)
	width := columns(u.stdout)
	for _, g := range d.Groups {
		u.printPainted("%s  %s\n", paint(bold, g.Name), printable(g.Place))
		var told []step
		for _, f := range g.Checks {
			sign := signs[f.State]
			head := fmt.Sprintf("  %s  %-11s  ", paint(sign.colour, fmt.Sprintf("%-6s", sign.word)), f.Check)
			indent := strings.Repeat(" ", 2+6+2+11+2)
			u.printPainted("%s%s\n", head, wrap(strings.Split(printable(f.Says), " "), width, indent))
			if len(f.Cure) > 0 && slices.Equal(f.Cure, told) {
				u.print("%sto do: as above\n", indent)
				continue
			}
			told = f.Cure
			for i, s := range f.Cure {
				number := "to do: "
				if len(f.Cure) > 1 {
					number = fmt.Sprintf("%d. ", i+1)
				}
				u.print("%s%s%s\n", indent, number, wrap(s.words(), width, indent+strings.Repeat(" ", len(number))))
			}
		}
		u.print("\n")
	}
	u.print("%s\n", d.conclusion())
}

// conclusion is the answer to the question that a person has.
func (d diagnosis) conclusion() string {
	what := d.Dataset
	if d.Version != "" {
		what += "@" + d.Version
	}
	from := strings.Join(d.From, ", ")
	switch {
	case d.Dataset != "" && d.OK:
		return fmt.Sprintf("%s can be fetched from: %s", what, from)
	case d.Dataset != "":
		return what + " cannot be fetched: what to do is said above"
	case d.OK:
		return fmt.Sprintf("These sources can be asked: %s\nTo see whether they give you a dataset: mimicsync doctor DATASET", from)
	}
	return "No source can be asked: what to do is said above"
}

// sign is how a verdict looks.
type sign struct {
	word   string
	colour string
}

// The colours of ECMA-48, section 8.3.117.
const (
	bold   = "1"
	red    = "1;31"
	green  = "32"
	yellow = "33"
	faint  = "2"
)

var signs = map[verdict]sign{isOK: {"ok", green}, isNote: {"note", yellow}, hasFailed: {"FAILED", red}, isSkipped: {"-", faint}}

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

// words are those of the step. A page or a command is one, to be copied whole.
func (s step) words() []string {
	where := first(s.Command, s.Page)
	if where == "" {
		return strings.Split(printable(s.Do), " ")
	}
	return append(strings.Split(printable(s.Do)+":", " "), printable(where))
}

// wrap breaks a text between its words. It begins after an indent.
func wrap(words []string, width int, indent string) string {
	if width < len(indent)+20 {
		return strings.Join(words, " ")
	}
	var b strings.Builder
	at := len(indent)
	for i, word := range words {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
