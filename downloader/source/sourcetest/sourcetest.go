// Package sourcetest is the contract of source.Source as a test, and a Source in memory
// that follows it. Every Source passes Run; other things that a pass needs, such as access
// rules, are tested beside each Source.
package sourcetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// Ref is the version whose objects a Fixture serves.
var Ref = manifest.Ref{Dataset: "demo", Version: "1.0"}

// Fixture is a Source and ways to disturb its server. If a hook is nil, the tests that need
// it are skipped.
type Fixture struct {
	Source source.Source

	// Cut makes the next answer for a path end after this many bytes of its body, fewer
	// than the object has, as if the connection had broken.
	Cut func(path string, after int64)
	// Stall makes the next answer for a path stop after this many bytes of its body, until
	// the reader disconnects.
	Stall func(path string, after int64)
	// Hang makes the next request for a path wait until the caller disconnects.
	Hang func(path string)

	// Facts that the Source never reports, so that the suite doesn't expect them.
	NoSize, NoValidator, NoModified bool
}

// Factory returns a new Fixture that serves these objects of Ref, by path, including the
// manifest.
type Factory func(t *testing.T, objects map[string][]byte) Fixture

// prompt is the limit for things that should happen at once. Only a failing test takes as
// long.
const prompt = 10 * time.Second

const (
	small = "hosp/patients.csv"
	large = "files/p10/large.dcm"
	empty = "icu/empty.csv"
	page  = "docs/index.html"
)

// names are paths that careless escaping would change.
var names = []string{
	"with space.csv", "trailing space ", "plus+plus.csv", "100%.csv", "a%20b.csv", "a%2Fb.csv", "hash#tag.csv", "what?.csv",
	"a&b=c.csv", "semi;colon.csv", "at@colon:comma,.csv", "quote'\".csv", "brackets[1](2){3}.csv", "tilde~caret^pipe|.csv",
	"größe/Ωmega.csv", "患者/記録.csv", "e\u0301.csv", ".hidden", "...", "a..b/c", "deep/er/and/deeper/x.txt",
}

func objects() map[string][]byte {
	all := map[string][]byte{
		small: []byte("subject_id,gender\n1,F\n2,M\n"),
		large: pattern(12 << 20), // more than the socket buffers of a connection
		empty: {},
		page:  []byte("<html><body>A page that belongs to the data.</body></html>\n"),
	}
	for i, name := range names {
		all[name] = fmt.Appendf(nil, "object %d is %q\n", i, name)
	}
	all[manifest.Name] = []byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 " + empty + "\n")
	return all
}

// pattern repeats with a prime length, so that a misplaced piece shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// Run checks a Source against the contract.
func Run(t *testing.T, factory Factory) {
	all := objects()
	begin := func(t *testing.T) *suite {
		t.Helper()
		return &suite{Fixture: factory(t, all), t: t, all: all}
	}
	t.Run("Name", func(t *testing.T) { begin(t).name() })
	t.Run("Whole", func(t *testing.T) { begin(t).whole() })
	t.Run("Empty", func(t *testing.T) { begin(t).empty() })
	t.Run("Names", func(t *testing.T) { begin(t).names() })
	t.Run("About", func(t *testing.T) { begin(t).about() })
	t.Run("Missing", func(t *testing.T) { begin(t).missing() })
	t.Run("UnknownVersion", func(t *testing.T) { begin(t).unknownVersion() })
	t.Run("Offset", func(t *testing.T) { begin(t).offset() })
	t.Run("Length", func(t *testing.T) { begin(t).length() })
	t.Run("OffsetBeyondTheEnd", func(t *testing.T) { begin(t).beyond() })
	t.Run("OffsetOfAnotherObject", func(t *testing.T) { begin(t).changed() })
	t.Run("NoneMatch", func(t *testing.T) { begin(t).noneMatch() })
	t.Run("Cut", func(t *testing.T) { begin(t).cut() })
	t.Run("CancelledBefore", func(t *testing.T) { begin(t).cancelledBefore() })
	t.Run("CancelOpen", func(t *testing.T) { begin(t).cancelOpen() })
	t.Run("CancelRead", func(t *testing.T) { begin(t).cancelRead() })
	t.Run("CancelStalledRead", func(t *testing.T) { begin(t).cancelStalledRead() })
	t.Run("CloseEarly", func(t *testing.T) { begin(t).closeEarly() })
	t.Run("Concurrent", func(t *testing.T) { begin(t).concurrent() })
}

// suite is one test with its Fixture.
type suite struct {
	Fixture

	t   *testing.T
	all map[string][]byte
}

func (s *suite) name() {
	if got := s.Source.Name(); got == "" {
		s.t.Errorf("Name() = %q, want a word for flags and reports", got)
	}
}

func (s *suite) whole() {
	for _, path := range []string{small, large, page, manifest.Name} {
		s.expect(source.Request{Path: path}, 0)
	}
}

func (s *suite) empty() {
	s.expect(source.Request{Path: empty}, 0)
	// Nothing is left to send, and whether that is an object or a range isn't defined; only
	// bytes would be wrong.
	o, err := s.open(source.Request{Path: empty, Offset: 1})
	if errors.Is(err, source.ErrRange) {
		return
	}
	if err != nil {
		s.t.Fatalf("Open(%s from 1) = %v, want ErrRange or an empty object", empty, err)
	}
	if b, err := read(o); err != nil || len(b) != 0 || o.Offset != 0 {
		s.t.Errorf("Open(%s from 1) gave %d bytes from %d, %v, want none from 0, <nil>", empty, len(b), o.Offset, err)
	}
}

func (s *suite) names() {
	for _, path := range names {
		s.expect(source.Request{Path: path}, 0)
	}
}

func (s *suite) about() {
	o := s.must(source.Request{Path: small})
	again := s.must(source.Request{Path: small})
	if want := int64(len(s.all[small])); !s.NoSize && o.Size != want {
		s.t.Errorf("Open(%s).Size = %d, want %d", small, o.Size, want)
	}
	if s.NoSize && o.Size != -1 {
		s.t.Errorf("Open(%s).Size = %d, want -1", small, o.Size)
	}
	if s.NoValidator != (o.Validator == "") {
		s.t.Errorf("Open(%s).Validator = %q, want none: %t", small, o.Validator, s.NoValidator)
	}
	if o.Validator != again.Validator {
		s.t.Errorf("Open(%s).Validator = %q, then %q, want the same", small, o.Validator, again.Validator)
	}
	if s.NoModified != o.Modified.IsZero() {
		s.t.Errorf("Open(%s).Modified = %v, want none: %t", small, o.Modified, s.NoModified)
	}
	if o.Modified.After(time.Now().Add(time.Hour)) {
		s.t.Errorf("Open(%s).Modified = %v, want the past", small, o.Modified)
	}
	if part := s.must(source.Request{Path: small, Offset: 4, Validator: o.Validator}); part.Validator != o.Validator {
		s.t.Errorf("Open(%s from 4).Validator = %q, want %q", small, part.Validator, o.Validator)
	}
	if other := s.must(source.Request{Path: page}); !s.NoValidator && other.Validator == o.Validator {
		s.t.Errorf("Open(%s).Validator = %q, want another than that of %s", page, other.Validator, small)
	}
}

func (s *suite) missing() {
	for _, path := range []string{"missing.csv", "hosp/missing.csv", "hosp/patients.csv/x", small + " "} {
		_, err := s.open(source.Request{Path: path})
		if !errors.Is(err, source.ErrNotExist) {
			s.t.Errorf("Open(%q) = %v, want ErrNotExist", path, err)
		}
	}
	s.expect(source.Request{Path: small}, 0) // a missing one doesn't affect the others
}

func (s *suite) unknownVersion() {
	o, err := s.Source.Open(s.t.Context(), source.Request{Ref: manifest.Ref{Dataset: Ref.Dataset, Version: "9.9"}, Path: manifest.Name})
	if err == nil {
		_ = o.Body.Close()
	}
	access, ok := errors.AsType[*source.AccessError](err)
	if !errors.Is(err, source.ErrNotExist) && (!ok || access.Denial != source.UnknownVersion) {
		s.t.Errorf("Open(%s of version 9.9) = %v, want UnknownVersion or ErrNotExist", manifest.Name, err)
	}
}

func (s *suite) offset() {
	for _, path := range []string{small, large} {
		validator := s.must(source.Request{Path: path}).Validator
		size := int64(len(s.all[path]))
		for _, from := range []int64{1, size / 2, size - 1} {
			s.expect(source.Request{Path: path, Offset: from, Validator: validator}, from)
			s.expect(source.Request{Path: path, Offset: from}, from)
		}
	}
}

func (s *suite) length() {
	validator := s.must(source.Request{Path: large}).Validator
	size := int64(len(s.all[large]))
	for _, v := range []string{validator, ""} {
		for _, from := range []int64{0, 1, size / 2} {
			for _, length := range []int64{1, 1000, 5 << 20} {
				s.expect(source.Request{Path: large, Offset: from, Length: length, Validator: v}, from)
			}
		}
		s.expect(source.Request{Path: large, Offset: size - 10, Length: 10, Validator: v}, size-10)
		s.expect(source.Request{Path: large, Offset: size - 10, Length: 11, Validator: v}, size-10) // as much as there is
	}
}

func (s *suite) beyond() {
	validator := s.must(source.Request{Path: small}).Validator
	size := int64(len(s.all[small]))
	for _, from := range []int64{size, size + 1, size + 1<<40} {
		for _, v := range []string{validator, ""} {
			if _, err := s.open(source.Request{Path: small, Offset: from, Validator: v}); !errors.Is(err, source.ErrRange) {
				s.t.Errorf("Open(%s from %d of %d, validator %q) = %v, want ErrRange", small, from, size, v, err)
			}
		}
	}
}

func (s *suite) changed() {
	if s.NoValidator {
		s.t.Skip("the source gives no validators")
	}
	other := s.must(source.Request{Path: page}).Validator
	for _, r := range []source.Request{
		{Path: small, Offset: 4, Validator: other},
		{Path: small, Offset: 1 << 20, Validator: other}, // the bytes fetched before are longer than the object now
		{Path: small, Length: 4, Validator: other},
		{Path: small, Offset: 4, Length: 4, Validator: other},
	} {
		o, err := s.open(r)
		switch {
		case errors.Is(err, source.ErrChanged):
		case err != nil:
			s.t.Errorf("Open(%+v) = %v, want the whole object or ErrChanged", r, err)
		case o.Offset != 0 || o.Validator == other:
			s.t.Errorf("Open(%+v) is from %d under %s, want it whole under its own validator", r, o.Offset, o.Validator)
		default:
			if b, err := read(o); err != nil || !bytes.Equal(b, s.all[small]) {
				s.t.Errorf("Open(%+v) gave %d bytes, %v, want the whole object", r, len(b), err)
			}
		}
	}
}

func (s *suite) noneMatch() {
	if s.NoValidator {
		s.t.Skip("the source gives no validators")
	}
	other := s.must(source.Request{Path: small}).Validator
	mine := s.must(source.Request{Path: manifest.Name}).Validator
	if _, err := s.open(source.Request{Path: manifest.Name, NoneMatch: mine}); !errors.Is(err, source.ErrNotModified) {
		s.t.Errorf("Open(%s unless %s) = %v, want ErrNotModified", manifest.Name, mine, err)
	}
	s.expect(source.Request{Path: manifest.Name, NoneMatch: other}, 0)
}

func (s *suite) concurrent() {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for _, path := range []string{names[i], small, names[i%len(names)]} {
				s.expect(source.Request{Path: path}, 0)
			}
			s.expect(source.Request{Path: large, Offset: int64(len(s.all[large]) - 1000*(i+1))}, int64(len(s.all[large])-1000*(i+1)))
		})
	}
	wg.Wait()
}

// open opens an object of Ref. Its body ends with the test at the latest.
func (s *suite) open(r source.Request) (*source.Object, error) {
	s.t.Helper()
	r.Ref = Ref
	o, err := s.Source.Open(s.t.Context(), r)
	if err == nil {
		s.t.Cleanup(func() { _ = o.Body.Close() })
	} else if o != nil {
		s.t.Errorf("Open(%q) = an object and %v, want one of the two", r.Path, err)
	}
	return o, err
}

// must opens an object only for its metadata.
func (s *suite) must(r source.Request) *source.Object {
	s.t.Helper()
	o, err := s.open(r)
	if err != nil {
		s.t.Fatalf("Open(%q from %d) = %v, want <nil>", r.Path, r.Offset, err)
	}
	_ = o.Body.Close()
	return o
}

// expect opens an object, and wants its bytes from an offset on. Several goroutines call
// it.
func (s *suite) expect(r source.Request, from int64) {
	s.t.Helper()
	o, err := s.open(r)
	if err != nil {
		s.t.Errorf("Open(%q from %d, validator %q) = %v, want <nil>", r.Path, r.Offset, r.Validator, err)
		return
	}
	if o.Offset != from {
		s.t.Errorf("Open(%q from %d, validator %q).Offset = %d, want %d", r.Path, r.Offset, r.Validator, o.Offset, from)
		return
	}
	want := s.all[r.Path]
	if o.Size != int64(len(want)) && (!s.NoSize || o.Size != -1) {
		s.t.Errorf("Open(%q from %d).Size = %d, want %d", r.Path, r.Offset, o.Size, len(want))
	}
	got, err := read(o)
	if err != nil {
		s.t.Errorf("reading %q from %d = %v, want <nil>", r.Path, from, err)
	}
	want = want[from:]
	if r.Length > 0 && from == r.Offset {
		want = want[:min(r.Length, int64(len(want)))]
	}
	if !bytes.Equal(got, want) {
		s.t.Errorf("reading %q from %d gave %d bytes, want %d: %s", r.Path, from, len(got), len(want), difference(got, want))
	}
}

func difference(got, want []byte) string {
	if max(len(got), len(want)) < 1000 {
		return cmp.Diff(string(want), string(got))
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("they differ from byte %d on", i)
}

func read(o *source.Object) ([]byte, error) {
	b, err := io.ReadAll(o.Body)
	return b, errors.Join(err, o.Body.Close())
}
