package terminal

import (
	"strings"

	"github.com/dustin/go-humanize"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/report"
)

// PrunePlan prints what removing a version would free.
func (u *UI) PrunePlan(p *report.Pruned) {
	u.Printf("%s %s: %s (%s); removing them frees at least %s", p.Dataset, p.Version, words.Count(p.Files, "file"), words.Size(p.Bytes), words.Size(p.Freed))
	if p.Shared > 0 {
		u.Printf("; %s of them are also in another version and free nothing", humanize.Comma(p.Shared))
	}
	u.Printf("\n")
}

// Pruned prints what was removed, and what stays.
func (u *UI) Pruned(p *report.Pruned) {
	u.Printf("%s %s: removed %s (%s), which freed %s\n", p.Dataset, p.Version, words.Count(p.Files, "file"), words.Size(p.Bytes), words.Size(p.Freed))
	if p.LeftFiles == 0 {
		return
	}
	names := make([]string, len(p.Left))
	for i, name := range p.Left {
		names[i] = words.Printable(name)
	}
	u.Printf("  left in %s/%s because it has no record: %s: %s", p.Dataset, p.Version, words.Count(p.LeftFiles, "file"), strings.Join(names, ", "))
	if p.LeftFiles > int64(len(names)) {
		u.Printf(" and more")
	}
	u.Printf("\n")
}
