package downloader_test

import (
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/manifest"
	"mimicsync/store"
)

const mega = 1 << 20

// throttle makes the line slow enough to interrupt a pass in mid-file.
func (s *site) throttle(rate int64) *lookalike.Injected {
	return s.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: rate, Path: "/files/demo/1.0/big*"})
}

// A pass that was stopped goes on where it was, in another process, and again.
func TestAnInterruptedPassGoesOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		stops []int64 // bytes after which each pass is interrupted
	}{{"once", []int64{15 * mega}}, {"twice", []int64{8 * mega, 12 * mega}}} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			f := file("big.csv", 40*mega)
			s := newSite(t, nil, project(f))
			r := newRig(t, rigOptions{site: s, connections: 1})
			line := s.throttle(24 * mega)
			for _, after := range tt.stops {
				r.interrupt(after)
				r.lacks("big.csv")
				r.reopen()
			}
			line.Remove()
			left := int64(40 * mega)
			for _, after := range tt.stops {
				left -= after
			}

			s.Reset()
			report := r.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
			r.has(f)
			if got := s.Counters().BytesSent; got > left+mega {
				t.Errorf("the last pass was sent %d bytes, want at most %d: the rest", got, left+mega)
			}
			if report.Bytes.Discarded != 0 {
				t.Errorf("discarded %d bytes, want none", report.Bytes.Discarded)
			}
			s.wantGets(t, "big.csv", 1)
		})
	}
}

// partialOf returns the only partial and its file.
func (r *rig) partialOf() (store.Partial, string) {
	r.t.Helper()
	all, err := r.store.Partials()
	must(r.t, err)
	if len(all) != 1 {
		r.t.Fatalf("%d partials, want 1", len(all))
	}
	return all[0], filepath.Join(r.dir, store.Dir, "partial", all[0].Digest.String())
}

func (r *rig) interruptedAt(s *site, after int64) (store.Partial, string) {
	r.t.Helper()
	line := s.throttle(20 * mega)
	r.interrupt(after)
	line.Remove()
	return r.partialOf()
}

// The disk damaged the partial between two passes: the digest finds out, and
// only that file is fetched again.
func TestADamagedPartialIsFoundOut(t *testing.T) {
	slow(t)
	f := file("big.csv", 6*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s})
	_, name := r.interruptedAt(s, 3*mega)
	b, err := os.ReadFile(name)
	must(t, err)
	b[1000] ^= 1
	must(t, os.WriteFile(name, b, 0o600))
	r.reopen()

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	if report.Bytes.Discarded != 6*mega {
		t.Errorf("discarded %d bytes, want all %d", report.Bytes.Discarded, 6*mega)
	}
}

// After a power cut the length of a file proves nothing: only what had been
// synced counts.
func TestAPartialOfAnotherBootIsTrustedAsFarAsItWasSynced(t *testing.T) {
	slow(t)
	f := file("big.csv", 8*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s})
	p, name := r.interruptedAt(s, 5*mega)
	p.Boot, p.Durable = "another boot", 2*mega
	must(t, r.store.PutPartials(p))
	b, err := os.ReadFile(name)
	must(t, err)
	clear(b[2*mega:]) // what ext4 shows of blocks that were never written
	must(t, os.WriteFile(name, b, 0o600))
	r.reopen()

	s.Reset()
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	if got := s.gets("big.csv"); len(got) != 1 || got[0].Range != "bytes=2097152-" {
		t.Errorf("requests %+v, want one from byte 2097152", got)
	}
	if report.Bytes.Discarded != 0 {
		t.Errorf("discarded %d bytes, want none", report.Bytes.Discarded)
	}
}

// The process died after the last byte and before the commit: nothing of it
// is fetched again.
func TestAWholePartialIsNotFetchedAgain(t *testing.T) {
	slow(t)
	f := file("big.csv", 6*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s})
	_, name := r.interruptedAt(s, 3*mega)
	must(t, os.WriteFile(name, content(t, f), 0o600))
	r.reopen()

	s.Reset()
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	if got := s.Counters().BytesSent; got > mega {
		t.Errorf("%d bytes were sent again, and all of them were here", got)
	}
}

// The file at the source is another one since: what came before is void, and
// the two are never mixed.
func TestAChangedObjectStartsOver(t *testing.T) {
	slow(t)
	f := file("big.csv", 6*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s})
	r.interruptedAt(s, 3*mega)
	s.Inject(lookalike.Fault{Kind: lookalike.ChangeETag, Path: "big.csv", Times: 1})

	s.Reset()
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	if got := s.gets("big.csv"); len(got) != 1 || got[0].Status != http.StatusOK || got[0].IfRange == "" {
		t.Errorf("requests %+v, want one on a condition, answered by the whole", got)
	}
	if report.Bytes.Discarded < 3*mega {
		t.Errorf("discarded %d bytes, want those of the former object", report.Bytes.Discarded)
	}
}

func TestAServerThatIgnoresRangesIsReadFromTheStart(t *testing.T) {
	slow(t)
	f := file("big.csv", 6*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s})
	r.interruptedAt(s, 3*mega)
	s.Inject(lookalike.Fault{Kind: lookalike.IgnoreRange})

	s.Reset()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	s.wantGets(t, "big.csv", 1)
}

// Another range than the one asked for is of no use; where it keeps coming,
// the file is fetched from its start, without asking for a range.
func TestAServerThatSendsAnotherRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		times int
	}{{"once", 1}, {"always", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			f := file("big.csv", 6*mega)
			s := newSite(t, nil, project(f))
			r := newRig(t, rigOptions{site: s})
			r.interruptedAt(s, 3*mega)
			s.Inject(lookalike.Fault{Kind: lookalike.WrongRange, After: 1000, Times: tt.times})

			s.Reset()
			wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
			r.has(f)
			if n := len(s.gets("big.csv")); n > 3 {
				t.Errorf("%d requests, want at most 3", n)
			}
		})
	}
}

// What an earlier pass has begun comes first: it is what takes longest.
func TestWhatWasBegunComesFirst(t *testing.T) {
	slow(t)
	big := file("zz/big.csv", 8*mega)
	s := newSite(t, nil, project(append(manyFiles(50, 1000), big)...))
	r := newRig(t, rigOptions{site: s, connections: 1})
	line := s.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: 20 * mega, Path: "big.csv"})
	r.interrupt(4 * mega)
	must(t, os.RemoveAll(r.path("files")))
	line.Remove()

	s.Reset()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 51, Fetched: 51})
	r.has(big)
	for i, q := range s.Requests() {
		if q.Path == "/files/demo/1.0/zz/big.csv" && i > 3 {
			t.Errorf("the big file was asked for in request %d, want it first", i+1)
		}
	}
}

// Two objects were whole when an earlier process died. Nobody reads along with
// them any more when the pass has ended: a bubble does not end before.
func TestAWholePartialLeavesNobodyAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := file("a", 2*mega), file("b", 2*mega)
		source := sourcetest.NewMemory(demo, map[string][]byte{manifest.Name: []byte(sums(a, b))}) // of the files it has none
		r := newRig(t, rigOptions{sources: []host.Source{{Source: source, Budget: pace.NewBudgetAt(1)}}})
		for _, f := range []lookalike.GeneratedFile{a, b} {
			name := manifest.Digest(sha256.Sum256(content(t, f))).String()
			must(t, os.WriteFile(filepath.Join(r.dir, store.Dir, "partial", name), content(t, f), 0o600))
		}
		r.reopen()
		wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Fetched: 2})
	})
}
