package downloader_test

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// ranges counts the requests for a file that asked for a part of it.
func (s *site) ranges(name string) (n int) {
	for _, r := range s.gets(name) {
		if r.Range != "" {
			n++
		}
	}
	return n
}

// A big file comes over several connections, in parts that fit together, and
// no byte comes twice. Whoever is fast takes over what is left to the slow first one.
func TestABigFileIsSplit(t *testing.T) {
	slow(t)
	f := file("big.csv", 96*mega)
	s := newSite(t, func(l *lookalike.Server) { l.BytesPerSecondPerConn = 12 * mega }, project(f, file("a", 10), file("z", 10)))
	s.crawl(mega / 2)
	r := newRig(t, rigOptions{site: s, connections: 8})
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 3, Fetched: 3})
	r.has(f)
	if s.ranges("big.csv") < 4 {
		t.Errorf("%d requests for ranges, want several: %+v", s.ranges("big.csv"), s.gets("big.csv"))
	}
	for _, q := range s.gets("big.csv") {
		if q.Range != "" && q.IfRange == "" {
			t.Errorf("the range %s was asked for without a condition", q.Range)
		}
		if q.Range == "" && q.Bytes > 48*mega { // no time is measured: a busy machine has its own
			t.Errorf("the first connection, which crawls, sent %d of %d bytes", q.Bytes, 96*mega)
		}
	}
	if got := r.arrived.Fetched.Load(); got != 96*mega+20 {
		t.Errorf("%d bytes arrived, want each once: %d", got, 96*mega+20)
	}
}

// A file below the limit is not worth it, nor one without a validator that
// says whether two parts belong together.
func TestWhatIsNotSplit(t *testing.T) {
	slow(t)
	s := newSite(t, func(l *lookalike.Server) { l.BytesPerSecondPerConn = 12 * mega }, project(file("small", 15*mega)))
	r := newRig(t, rigOptions{site: s, connections: 8})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	s.wantGets(t, "small", 1)
}

func isPart(r *http.Request) bool { return r.Header.Get("Range") != "" }

// crawl makes the first connection of a file slow, so that others get parts of it
// however fast the machine is.
func (s *site) crawl(rate int64) {
	s.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: rate, Path: "big.csv", Match: func(r *http.Request) bool { return !isPart(r) }})
}

// What goes wrong with one part of a big file.
func TestATroubledPart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault lookalike.Fault
		again int64 // bytes that may come again
	}{
		{"breaks", lookalike.Fault{Kind: lookalike.Reset, After: mega, Times: 3}, 0},
		{"ends early", lookalike.Fault{Kind: lookalike.ShortBody, After: mega, Times: 3}, 0},
		{"stalls", lookalike.Fault{Kind: lookalike.Stall, After: mega, Times: 2}, 0},
		{"is refused for now", lookalike.Fault{Kind: lookalike.Status, Code: 503, Times: 4}, 0},
		{"not served in parts", lookalike.Fault{Kind: lookalike.IgnoreRange}, 0},
		{"is another part", lookalike.Fault{Kind: lookalike.WrongRange, After: 3}, 0},
		{"is of another object", lookalike.Fault{Kind: lookalike.ChangeETag, Times: 1}, 48 * mega},
		{"is wrong", lookalike.Fault{Kind: lookalike.Corrupt, After: 12 * mega, Times: 1}, 48 * mega},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			f := file("big.csv", 48*mega)
			s := newSite(t, nil, project(f))
			tt.fault.Path, tt.fault.Match = "big.csv", isPart
			fault := s.Inject(tt.fault)
			s.crawl(6 * mega)
			r := newRig(t, rigOptions{site: s, connections: 4, idle: 2 * time.Second})
			report := r.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
			r.has(f)
			if fault.Struck() == 0 {
				t.Error("the fault never struck")
			}
			if report.Bytes.Discarded > tt.again {
				t.Errorf("discarded %d bytes, want at most %d", report.Bytes.Discarded, tt.again)
			}
		})
	}
}

// A pass that was stopped while parts of a file were on their way goes on with
// the gaps, and with no more.
func TestAnInterruptedSplitGoesOnWithTheGaps(t *testing.T) {
	slow(t)
	f := file("big.csv", 64*mega)
	s := newSite(t, func(l *lookalike.Server) { l.BytesPerSecondPerConn = 12 * mega }, project(f))
	s.crawl(2 * mega)
	r := newRig(t, rigOptions{site: s, connections: 4})
	r.interrupt(30 * mega)
	p, _ := r.partialOf()
	if !p.Split || len(p.Ahead) == 0 {
		t.Fatalf("the record %+v speaks of no part ahead of a gap", p)
	}
	here := p.Durable
	for _, a := range p.Ahead {
		here += a.To - a.From
	}
	r.reopen()

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	if got, want := r.arrived.Fetched.Load(), 64*mega-here; got != want || here < 28*mega {
		t.Errorf("%d bytes were here and %d arrived, want the other %d", here, got, want)
	}
}

// After a power cut, or from another source, the parts that the record names
// are what counts; the holes between them are not data.
func TestASplitPartialOfAnotherBoot(t *testing.T) {
	slow(t)
	f := file("big.csv", 32*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s, connections: 4})
	p, name := r.interruptedAt(s, 20*mega)
	whole := content(t, f)
	onDisk := make([]byte, 30*mega)
	copy(onDisk, whole[:4*mega])
	copy(onDisk[10*mega:], whole[10*mega:12*mega])
	copy(onDisk[20*mega:], whole[20*mega:30*mega])
	must(t, os.WriteFile(name, onDisk, 0o600))
	p.Boot, p.Split, p.Durable = "another boot", true, 4*mega
	p.Ahead = []store.Range{{From: 10 * mega, To: 12 * mega}, {From: 20 * mega, To: 30 * mega}}
	must(t, r.store.PutPartials(p))
	r.reopen()

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	if got, want := r.arrived.Fetched.Load(), int64(16*mega); got != want || report.Bytes.Discarded != 0 {
		t.Errorf("%d bytes arrived and %d were discarded, want %d and none", got, report.Bytes.Discarded, want)
	}
}

// Two big files and many small ones: all connections have work to the end.
func TestBigAndSmallFilesShareTheConnections(t *testing.T) {
	slow(t)
	files := []lookalike.GeneratedFile{file("big1.csv", 40*mega), file("big2.csv", 40*mega)}
	for i := range 200 {
		files = append(files, file(fmt.Sprintf("files/%03d", i), 5000))
	}
	var most atomic.Int32
	s := newSite(t, func(l *lookalike.Server) { l.BytesPerSecondPerConn = 8 * mega }, project(files...))
	r := newRig(t, rigOptions{site: s, connections: 8})
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.pull()
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(5 * time.Millisecond):
			used, _, _ := r.budget.Connections()
			most.Store(max(most.Load(), int32(used)))
		}
	}
	if most.Load() < 3 {
		t.Errorf("at most %d of 8 connections had work", most.Load())
	}
	r.has(files...)
	if s.ranges("big1.csv")+s.ranges("big2.csv") == 0 {
		t.Error("nobody helped with the big files")
	}
}
