package downloader_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A limit on bytes ends the pass in the middle of a file. What came is kept,
// and the next command goes on from there.
func TestMaxTransferEndsAPassAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	const limit = 5 * mega
	files := []lookalike.GeneratedFile{file("a", 8*mega), file("b", 8*mega), file("c", 1000)}
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s, maxTransfer: limit})
	first := new(progress.Progress)
	report, err := r.syncer.Pull(t.Context(), demo, manifest.Selection{}, first)
	if !errors.Is(err, failure.ErrLimit) || report.State != store.Incomplete || !errors.Is(report.Err, failure.ErrLimit) {
		t.Fatalf("Pull = %v, %+v, want %v and an incomplete pass", err, report, failure.ErrLimit)
	}
	if report.Files.Failed != 0 || report.Left < 2 || report.LeftBytes <= 0 {
		t.Errorf("report = %+v, want no failure, and what is left", report)
	}
	const most = limit + 4<<19 // a read of each connection
	if got := first.Fetched.Load(); got < limit || got > most {
		t.Errorf("%d bytes fetched, want %d to %d", got, limit, most)
	}

	// The same Syncer fetches nothing more.
	again := new(progress.Progress)
	if _, err := r.syncer.Pull(t.Context(), demo, manifest.Selection{}, again); !errors.Is(err, failure.ErrLimit) {
		t.Errorf("another pass = %v, want %v", err, failure.ErrLimit)
	}
	if got := again.Fetched.Load(); got != 0 {
		t.Errorf("another pass fetched %d bytes", got)
	}

	r.options.maxTransfer = 0
	r.reopen()
	rest := new(progress.Progress)
	if _, err := r.syncer.Pull(t.Context(), demo, manifest.Selection{}, rest); err != nil {
		t.Fatal(err)
	}
	if got, want := first.Fetched.Load()+rest.Fetched.Load(), int64(16*mega+1000); got != want {
		t.Errorf("%d bytes fetched in all, want each once: %d", got, want)
	}
	r.has(files...)
}

// A limit that is just enough does not cut.
func TestMaxTransferThatIsEnough(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", mega), file("b", 1000)))
	r := newRig(t, rigOptions{site: s, maxTransfer: mega + 1000})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Fetched: 2})
}

// A limit on time is a context with a cause. The pass is incomplete, and not
// interrupted.
func TestALimitOnTimeLeavesAnIncompletePass(t *testing.T) {
	slow(t)
	s := newSite(t, nil, project(file("a", 8*mega)))
	r := newRig(t, rigOptions{site: s})
	stalled := s.Inject(lookalike.Fault{Kind: lookalike.Stall, After: mega, Path: "a", Times: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { // the time is up while the file comes, however busy the machine is
		for stalled.Struck() == 0 && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel(fmt.Errorf("%w: 0.3 s", failure.ErrLimit))
	}()
	defer cancel(nil)
	report, err := r.tryPull(ctx)
	if !errors.Is(err, failure.ErrLimit) || report.State != store.Incomplete || report.Files.Failed != 0 || report.Left != 1 {
		t.Fatalf("Pull = %v, %+v, want %v and an incomplete pass", err, report, failure.ErrLimit)
	}
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
}
