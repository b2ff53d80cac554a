package terminal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// maxShown is how many failures are listed; the JSON report has more.
const maxShown = 20

// Report prints the result of a pass.
func (u *UI) Report(r *report.Report) {
	if r.State == store.Interrupted || r.State == store.Failed && r.Files.Total == 0 {
		return // it was reported as an error
	}
	f, b := r.Files, r.Bytes
	done := f.Present + f.Adopted + f.Linked + f.Fetched
	var parts []string
	for _, p := range []struct {
		n, bytes int64
		how      string
	}{
		{f.Fetched, b.Fetched, "fetched"},
		{f.Present, b.Present, "present"},
		{f.Adopted, b.Adopted, "adopted"},
		{f.Linked, b.Linked, "linked"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s (%s)", humanize.Comma(p.n), p.how, words.Size(p.bytes)))
		}
	}
	detail := ""
	if len(parts) > 0 {
		detail = ": " + strings.Join(parts, ", ")
	}
	u.line("%s %s %s: %s of %s verified%s, in %s", r.Dataset, r.Version, r.State, humanize.Comma(done),
		words.Count(f.Total, "file"), detail, words.Elapsed(r.Elapsed))
	u.sources(r)
	u.quarantined(r.Quarantined)
	if n := len(r.Collisions); n > 0 {
		c := r.Collisions[0]
		u.Printf("  %s differ from another only by case, or by trailing dots or spaces, such as %s from %s: a file system that ignores these can't hold both\n",
			words.Count(int64(n), "name"), words.Printable(c.Path), words.Printable(c.With))
	}
	u.failures(r.Failures, f.Failed, r.Err)
}

func (u *UI) quarantined(files []report.Quarantined) {
	for _, q := range files[:min(len(files), maxShown)] {
		u.Printf("  quarantined  %s  to %s: it didn't match the manifest\n", words.Printable(q.Path), words.Printable(q.To))
	}
}

// sources prints what came from where, if there are several sources, and what to do about
// those that a pass stopped using.
func (u *UI) sources(r *report.Report) {
	if r.AuthorityErr != nil {
		why, _, _ := strings.Cut(r.AuthorityErr.Error(), "\n")
		u.Printf("  the manifest comes from %s and couldn't be compared with PhysioNet's: %s\n", r.ManifestFrom, why)
	}
	if len(r.Sources) < 2 && (len(r.Sources) == 0 || r.Sources[0].Cost == 0) {
		return
	}
	for _, s := range r.Sources {
		u.Printf("  from %-10s %s (%s)", s.Name, words.Count(s.Files, "file"), words.Size(s.Bytes))
		if s.Cost > 0 {
			u.Printf(" for about %s", s.Cost)
		}
		if s.Failed > 0 {
			u.Printf(", %s not available there", humanize.Comma(s.Failed))
		}
		switch {
		case s.Dropped != "" && r.Err != nil && strings.Contains(r.Err.Error(), s.Dropped):
			u.Printf("; dropped, see the error")
		case s.Dropped != "":
			u.Printf("; dropped: %s", s.Dropped)
		}
		u.Printf("\n")
		if a := u.Adviser.Advise(s.Err); s.Err != nil && r.Err == nil && a.Hint != "" && !errors.Is(s.Err, failure.ErrLimit) {
			u.Lines("hint", a.Hint)
		}
	}
}

// failures lists failures, and prints the same words about several files, or those of the
// error that follows, only once.
func (u *UI) failures(failures []store.Failure, total int64, err error) {
	told := map[string]bool{}
	for _, f := range failures[:min(len(failures), maxShown)] {
		saying := f.Reason + strings.ReplaceAll(f.Detail, f.Path, "")
		detail := words.Printable(f.Detail)
		switch {
		case err != nil && f.Detail == err.Error():
			detail = "see the error"
		case told[saying]:
			detail = "the same"
		}
		told[saying] = true
		u.Printf("  %-12s %s: %s\n", f.Reason, words.Printable(f.Path), detail)
	}
	if more := total - int64(min(len(failures), maxShown)); more > 0 {
		u.Printf("  ... and %s more; --json lists them\n", humanize.Comma(more))
	}
}

// Verification prints the result of verify; repair says that wrong files are about to be
// fetched, so that no hint is needed.
func (u *UI) Verification(v *report.Verification, repair bool) {
	parts := []string{fmt.Sprintf("%s %s: %s verified (%s)", v.Dataset, v.Version, words.Count(v.Verified, "file"), words.Size(v.Bytes))}
	for _, p := range []struct {
		n    int64
		what string
	}{{v.Recent, "verified earlier in this round"}, {v.Wrong, "wrong"}, {v.Missing, "missing"}, {v.Unreadable, "unreadable"}, {v.Absent, "not fetched yet"}, {v.Unselected, "never fetched"}} {
		if p.n > 0 {
			parts = append(parts, humanize.Comma(p.n)+" "+p.what)
		}
	}
	u.line("%s, in %s", strings.Join(parts, ", "), words.Elapsed(v.Elapsed))
	if part := partOf(v.Verified+v.Recent, v.Total, v.Selection); part != "" && v.Failed()+v.Absent == 0 {
		u.Printf("  complete for %s\n", part)
	}
	u.quarantined(v.Quarantined)
	u.failures(v.Failures, v.Failed(), nil)
	if v.Failed() > 0 && !repair && slices.ContainsFunc(v.Failures, isToRepair) {
		u.Lines("hint", "fetch them again with: "+u.Adviser.Command("verify", v.Dataset+"@"+v.Version, "--repair"))
	}
}

// partOf describes a part of a dataset, like "include hosp/**: 12 of 1,523 files"; it is
// empty for the whole.
func partOf(files, all int64, by manifest.Globs) string {
	if by.String() == "" || files >= all {
		return ""
	}
	return fmt.Sprintf("%s: %s of %s files", words.Printable(by.String()), humanize.Comma(files), humanize.Comma(all))
}

// isToRepair reports whether fetching a file again can help: not if a symlink stands in its
// place.
func isToRepair(f store.Failure) bool { return f.Reason != string(failure.ReasonUnsafePath) }
