package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const (
	hexA = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	hexB = "FEDCBA9876543210fedcba9876543210FEDCBA9876543210fedcba9876543210"
)

const demoManifest = "../../shared/data/mimic-iv-demo-2.2/" + Name

func digest(t testing.TB, s string) Digest {
	t.Helper()
	d, err := ParseDigest(s)
	if err != nil {
		t.Fatalf("ParseDigest(%q) = %v", s, err)
	}
	return d
}

// readAll returns the entries of r and what ended them; io.EOF becomes nil.
func readAll(r *Reader) ([]Entry, error) {
	var all []Entry
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

// isOrSyntax reports whether err is want, or a *SyntaxError where want is nil.
func isOrSyntax(err, want error) bool {
	if want != nil {
		return errors.Is(err, want)
	}
	_, ok := errors.AsType[*SyntaxError](err)
	return ok
}

// checkEntryAt expects EntryAt to return each entry again.
func checkEntryAt(t *testing.T, text string, entries []Entry) {
	t.Helper()
	for _, want := range entries {
		got, err := EntryAt(strings.NewReader(text), want.Offset)
		if err != nil {
			t.Fatalf("EntryAt(%q, %d) = %v", text, want.Offset, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("EntryAt(%q, %d): -want +got\n%s", text, want.Offset, diff)
		}
	}
}

func TestReaderForms(t *testing.T) {
	a, b := digest(t, hexA), digest(t, hexB)
	two := func(p, q string, second int64) []Entry {
		return []Entry{{Path: p, Digest: a}, {Path: q, Digest: b, Offset: second}}
	}
	tests := []struct {
		name, text string
		want       []Entry
	}{
		{"one space", hexA + " x/a.csv\n" + hexB + " b\n", two("x/a.csv", "b", 73)},
		{"two spaces", hexA + "  x/a.csv\n" + hexB + "  b\n", two("x/a.csv", "b", 74)},
		{"space and asterisk", hexA + " *x/a.csv\n" + hexB + " *b\n", two("x/a.csv", "b", 74)},
		{"space within a path", hexA + " a b\n" + hexB + " c  d\n", two("a b", "c  d", 69)},
		{"one space decides for a path with a space", hexA + " a\n" + hexB + "  b\n", two("a", " b", 67)},
		{"one space decides for a path with an asterisk", hexA + " a\n" + hexB + " *b\n", two("a", "*b", 67)},
		{"two spaces decide for a path with a space", hexA + "  a\n" + hexB + "   b\n", two("a", " b", 68)},
		{"two spaces, and a line that has one", hexA + "  a\n" + hexB + " b\n", two("a", "b", 68)},
		{"CRLF", hexA + " a\r\n" + hexB + " b\r\n", two("a", "b", 68)},
		{"blank lines", hexA + " a\n\n \t\r\n" + hexB + " b\n\n\n", two("a", "b", 72)},
		{"dot slash once", hexA + " ./a\n" + hexB + " ././b\n", two("a", "./b", 69)},
		{"dot slash alone", hexA + " ./\n" + hexB + " .\n", two("./", ".", 68)},
		{"escaped", `\` + hexA + "  a\\nb\\\\c\\r\n" + hexB + "  d\\e\n", two("a\nb\\c\r", `d\e`, 77)},
		{"no newline at the end", hexA + " a\n" + hexB + " b", two("a", "b", 67)},
		{"no newline after CR at the end", hexA + " a\r\n" + hexB + " b\r", two("a", "b", 68)},
		{"byte order mark", bom + hexA + " a\n" + hexB + " b\n", []Entry{{"a", a, 3}, {"b", b, 70}}},
		{"blank line first", "\r\n" + hexA + " a\n", []Entry{{"a", a, 2}}},
		{"hostile path", hexA + " ../../etc/passwd\n", []Entry{{"../../etc/passwd", a, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{
				strings.NewReader(tt.text),
				iotest.OneByteReader(strings.NewReader(tt.text)),
				iotest.DataErrReader(strings.NewReader(tt.text)),
			} {
				got, err := readAll(NewReader(r))
				if err != nil {
					t.Fatalf("Next(%q) = %v, want io.EOF", tt.text, err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Fatalf("Next(%q): -want +got\n%s", tt.text, diff)
				}
			}
			checkEntryAt(t, tt.text, tt.want)
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	line := hexA + " a\n"
	tests := []struct {
		name, text string
		want       error // nil for a *SyntaxError
	}{
		{"nothing", "", ErrEmpty},
		{"blank lines only", "\n\r\n  \n", ErrEmpty},
		{"byte order mark only", bom, ErrEmpty},
		{"page", "<!DOCTYPE html>\n<html>", ErrHTML},
		{"page after space", bom + "\r\n  <html lang=\"en\"><body>", ErrHTML},
		{"page in one long line", "<html>" + strings.Repeat("x", bufferSize), ErrHTML},
		{"cut in the digest", line + hexB[:20], ErrTorn},
		{"cut after the digest", line + hexB, ErrTorn},
		{"cut after the space", line + hexB + " ", ErrTorn},
		{"cut after both separators", hexA + "  a\n" + hexB + "  ", ErrTorn},
		{"cut after a backslash", line + `\` + hexB + ` a\`, ErrTorn},
		{"cut in the first line", hexA[:10], ErrTorn},
		{"garbage", line + "garbage\n" + line, nil},
		{"garbage at the end", line + "garbage", nil},
		{"short digest", line + hexB[:63] + " a\n", nil},
		{"long digest", line + hexB + "0 a\n", nil},
		{"not hexadecimal", line + hexB[:63] + "g a\n", nil},
		{"tab", line + hexB + "\ta\n", nil},
		{"no path", line + hexB + "\n", nil},
		{"no path after the space", line + hexB + " \n", nil},
		{"unknown escape", line + `\` + hexB + " a\\x\n", nil},
		{"page in the middle", line + "<html>\n", nil},
		{"long line", line + hexB + " " + strings.Repeat("x", maxLine) + "\n", nil},
		{"line longer than the buffer", line + strings.Repeat("x", 2*bufferSize), nil},
		{"zeros of a lost write", line + strings.Repeat("\x00", 4096), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.text))
			_, err := readAll(r)
			if !isOrSyntax(err, tt.want) {
				t.Fatalf("Next() = %v, want %v", err, tt.want)
			}
			if _, again := r.Next(); !errors.Is(again, err) {
				t.Errorf("Next() after an error = %v, want %v again", again, err)
			}
		})
	}
}

func TestSyntaxErrorTellsThePlace(t *testing.T) {
	text := hexA + " a\n\n" + strings.Repeat("what is this? ", 10) + "\n"
	_, err := readAll(NewReader(strings.NewReader(text)))
	want := &SyntaxError{Line: 3, Offset: 68, Why: whyNotDigest, Snippet: "what is this? what is this? what is this"}
	got, ok := errors.AsType[*SyntaxError](err)
	if !ok {
		t.Fatalf("Next() = %v, want a *SyntaxError", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Next(): -want +got\n%s", diff)
	}
	const message = "SHA256SUMS.txt: line 3: does not begin with a SHA-256 of 64 hexadecimal digits: " +
		`"what is this? what is this? what is this"`
	if err.Error() != message {
		t.Errorf("Error() = %s, want %s", err, message)
	}
}

func TestReaderReportsUnterminated(t *testing.T) {
	for text, want := range map[string]bool{
		hexA + " a\n":               false,
		hexA + " a\r\n":             false,
		hexA + " a\n\n ":            false,
		hexA + " a":                 true,
		hexA + " a\n" + hexB + " b": true,
	} {
		r := NewReader(strings.NewReader(text))
		if _, err := readAll(r); err != nil {
			t.Fatalf("Next(%q) = %v, want io.EOF", text, err)
		}
		if got := r.Unterminated(); got != want {
			t.Errorf("Unterminated(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestReaderPassesOnTheErrorOfItsSource(t *testing.T) {
	broken := errors.New("connection reset")
	source := io.MultiReader(strings.NewReader(hexA+" a\n"+hexB), iotest.ErrReader(broken))
	got, err := readAll(NewReader(source))
	if !errors.Is(err, broken) || errors.Is(err, ErrTorn) {
		t.Errorf("Next() = %v, want %v", err, broken)
	}
	if len(got) != 1 {
		t.Errorf("entries before the error = %v, want 1", got)
	}
}

func TestEntryAtRefusesOffsetsOfAnotherManifest(t *testing.T) {
	text := bom + hexA + " a\n\n\\" + hexB + " b\ngarbage\n" + hexA + " c\n" + hexA[:9]
	for offset, want := range map[int64]error{
		0:                      nil, // the byte order mark
		4:                      nil, // within a line
		70:                     nil, // a blank line
		72:                     nil, // after the backslash of an escaped line
		139:                    nil, // garbage
		int64(len(text)) - 9:   ErrTorn,
		int64(len(text)):       io.ErrUnexpectedEOF,
		int64(len(text)) + 100: io.ErrUnexpectedEOF,
	} {
		if _, err := EntryAt(strings.NewReader(text), offset); !isOrSyntax(err, want) {
			t.Errorf("EntryAt(%d) = %v, want %v", offset, err, want)
		}
	}
	if _, err := EntryAt(strings.NewReader(text), -1); err == nil {
		t.Error("EntryAt(-1) = nil, want an error")
	}
}

func TestEntryAtReadsTheLongestLine(t *testing.T) {
	longest := strings.Repeat("x", maxLine-len(hexA)-2)
	for _, text := range []string{
		hexA + " a\n" + hexB + " " + longest + "\n",
		hexA + " a\n" + hexB + " " + longest + "y",
	} {
		entries, err := readAll(NewReader(strings.NewReader(text)))
		if err != nil || len(entries) != 2 {
			t.Fatalf("Next() = %d entries, %v, want 2", len(entries), err)
		}
		checkEntryAt(t, text, entries)
	}
	text := hexA + " a\n" + hexB + " " + longest + "y\n"
	if _, err := EntryAt(strings.NewReader(text), 67); err == nil {
		t.Error("EntryAt(a line too long) = nil, want a *SyntaxError")
	}
}

func TestReaderReadsTheDemo(t *testing.T) {
	text, err := os.ReadFile(demoManifest)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no manifest of mimic-iv-demo 2.2 at %s", demoManifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(bytes.NewReader(text))
	entries, err := readAll(r)
	if err != nil || len(entries) != 34 || r.Unterminated() {
		t.Fatalf("Next() = %d entries, %v, unterminated %v, want 34 whole ones", len(entries), err, r.Unterminated())
	}
	want := Entry{
		Path:   "hosp/admissions.csv.gz",
		Digest: digest(t, "910b9f160ffdf1e08ea673585393f347c773ccc87d66875c627584a903ae8493"),
		Offset: 238,
	}
	if diff := cmp.Diff(want, entries[3]); diff != "" {
		t.Errorf("entry 3: -want +got\n%s", diff)
	}
	checkEntryAt(t, string(text), entries)
	for _, e := range entries {
		if err := CheckPath(e.Path); err != nil {
			t.Errorf("CheckPath(%q) = %v, want nil", e.Path, err)
		}
	}
	if got, err := Collisions(bytes.NewReader(text), int64(len(text))); err != nil || got != nil {
		t.Errorf("Collisions() = %v, %v, want none", got, err)
	}
}

// rewrite writes entries in a form that no path can be mistaken in.
func rewrite(entries []Entry) string {
	var text strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)
	for _, e := range entries {
		fmt.Fprintf(&text, "\\%s *./%s\n", e.Digest, escape.Replace(e.Path))
	}
	return text.String()
}

func FuzzReader(f *testing.F) {
	for _, text := range []string{
		"", "\n", bom, "<html>", "garbage\n", hexA, hexA + " ", hexA + " a", hexA + " a\n" + hexB + "  b\n",
		hexA + "  a\n" + hexB + " b\n", hexA + " *a\r\n\r\n" + hexB + " * b\r\n", bom + hexA + " a\n",
		"\\" + hexA + "  a\\nb\\\\\n", hexA + " ././a\n" + hexB + " ./\n", "\r\n" + hexA + " a\r\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := readAll(NewReader(bytes.NewReader(text)))
		slow, slowErr := readAll(NewReader(iotest.OneByteReader(bytes.NewReader(text))))
		if diff := cmp.Diff(entries, slow); diff != "" || (err == nil) != (slowErr == nil) {
			t.Fatalf("byte by byte: %v, want %v\n%s", slowErr, err, diff)
		}
		if err == nil && len(entries) == 0 {
			t.Fatal("Next() = io.EOF without an entry, want ErrEmpty")
		}
		checkEntryAt(t, string(text), entries)
		for i, e := range entries {
			if i > 0 && e.Offset <= entries[i-1].Offset {
				t.Fatalf("offset %d after %d, want it to grow", e.Offset, entries[i-1].Offset)
			}
		}
		checkRewritten(t, entries)
	})
}

func checkRewritten(t *testing.T, entries []Entry) {
	t.Helper()
	text := rewrite(entries)
	again, err := readAll(NewReader(strings.NewReader(text)))
	if len(entries) > 0 && err != nil {
		// What escaping adds may make a long line too long.
		if strings.Contains(err.Error(), whyTooLong) {
			return
		}
		t.Fatalf("Next(%q) = %v, want io.EOF", text, err)
	}
	for i := range again {
		again[i].Offset = entries[i].Offset
	}
	if diff := cmp.Diff(entries, again); diff != "" {
		t.Fatalf("written and read again: -want +got\n%s", diff)
	}
}

// A line for the manifest itself is left out in each form, and also in sha256sum's form among lines of one space, as
// `sha256sum * >> SHA256SUMS.txt` adds it.
func TestALineForTheManifestItself(t *testing.T) {
	digest := strings.Repeat("a7", 32)
	for _, test := range []struct{ name, first, itself string }{
		{"one space", " notes.csv", " SHA256SUMS.txt"},
		{"two spaces", "  notes.csv", "  SHA256SUMS.txt"},
		{"an asterisk", " *notes.csv", " *SHA256SUMS.txt"},
		{"two spaces among one", " notes.csv", "  SHA256SUMS.txt"},
		{"an asterisk among one space, from find", " notes.csv", " *./SHA256SUMS.txt"},
		{"one space among two", "  notes.csv", " SHA256SUMS.txt"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(digest + test.first + "\n" + digest + test.itself + "\n" + digest + test.first + ".gz\n"))
			entries, err := readAll(r)
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, e := range entries {
				paths = append(paths, e.Path)
			}
			if want := []string{"notes.csv", "notes.csv.gz"}; !slices.Equal(paths, want) || !r.NamesItself() {
				t.Errorf("entries %q, names itself: %t; want %q and that it does", paths, r.NamesItself(), want)
			}
		})
	}
}
