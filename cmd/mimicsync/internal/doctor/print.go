package doctor

import (
	"fmt"
	"slices"
	"strings"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/cmd/mimicsync/internal/words"
)

// Print prints a paragraph for each group, with a line for each check and its cure below it.
func (d Diagnosis) Print(u *terminal.UI) {
	paint := terminal.Painter(u.Stdout)
	width := terminal.Columns(u.Stdout)
	for _, g := range d.Groups {
		u.PrintPainted("%s  %s\n", paint(terminal.Bold, g.Name), words.Printable(g.Place))
		var told []advice.Step
		for _, f := range g.Checks {
			sign := signs[f.State]
			head := fmt.Sprintf("  %s  %-11s  ", paint(sign.colour, fmt.Sprintf("%-6s", sign.word)), f.Check)
			indent := strings.Repeat(" ", 2+6+2+11+2)
			u.PrintPainted("%s%s\n", head, words.Wrap(strings.Split(words.Printable(f.Says), " "), width, indent))
			if len(f.Cure) > 0 && slices.Equal(f.Cure, told) {
				u.Printf("%sto do: as above\n", indent)
				continue
			}
			told = f.Cure
			for i, s := range f.Cure {
				number := "to do: "
				if len(f.Cure) > 1 {
					number = fmt.Sprintf("%d. ", i+1)
				}
				u.Printf("%s%s%s\n", indent, number, words.Wrap(s.Words(), width, indent+strings.Repeat(" ", len(number))))
			}
		}
		u.Printf("\n")
	}
	u.Printf("%s\n", d.conclusion())
}

// conclusion answers the user's question.
func (d Diagnosis) conclusion() string {
	what := d.Dataset
	if d.Version != "" {
		what += "@" + d.Version
	}
	from := strings.Join(d.From, ", ")
	switch {
	case d.Dataset != "" && d.OK:
		return fmt.Sprintf("%s can be fetched from: %s", what, from)
	case d.Dataset != "":
		return what + " can't be fetched: see above for what to do"
	case d.OK:
		return fmt.Sprintf("These sources can be used: %s\nTo check access to a dataset: mimicsync doctor DATASET", from)
	}
	return "No source can be used: see above for what to do"
}

// sign is how a verdict looks.
type sign struct {
	word   string
	colour string
}

var signs = map[verdict]sign{isOK: {"ok", terminal.Green}, isNote: {"note", terminal.Yellow}, hasFailed: {"FAILED", terminal.Red}, isSkipped: {"-", terminal.Faint}}
