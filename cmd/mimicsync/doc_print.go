package main

import (
	"fmt"
	"slices"
	"strings"

	"mimicsync/cmd/mimicsync/internal/advice"

	"mimicsync/cmd/mimicsync/internal/words"
)

// diagnosis tells what doctor has found: a paragraph for each thing it has
// looked at, a line for each check, and below it what to do.
func (u *ui) diagnosis(d diagnosis) {
	paint := painter(u.stdout)
	width := columns(u.stdout)
	for _, g := range d.Groups {
		u.printPainted("%s  %s\n", paint(bold, g.Name), words.Printable(g.Place))
		var told []advice.Step
		for _, f := range g.Checks {
			sign := signs[f.State]
			head := fmt.Sprintf("  %s  %-11s  ", paint(sign.colour, fmt.Sprintf("%-6s", sign.word)), f.Check)
			indent := strings.Repeat(" ", 2+6+2+11+2)
			u.printPainted("%s%s\n", head, words.Wrap(strings.Split(words.Printable(f.Says), " "), width, indent))
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
				u.print("%s%s%s\n", indent, number, words.Wrap(s.Words(), width, indent+strings.Repeat(" ", len(number))))
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

var signs = map[verdict]sign{isOK: {"ok", green}, isNote: {"note", yellow}, hasFailed: {"FAILED", red}, isSkipped: {"-", faint}}
