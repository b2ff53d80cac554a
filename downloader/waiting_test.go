package downloader_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/sourcetest"
)

// reluctant answers after ten seconds, that it has too much to do.
type reluctant struct{ *sourcetest.Memory }

func (reluctant) Open(context.Context, source.Request) (*source.Object, error) {
	time.Sleep(10 * time.Second)
	return nil, &source.StatusError{URL: "https://example.com", Code: 503, RetryAfter: time.Minute}
}

// A pass that waits for its manifest can be told from one that asks for it.
func TestProgressTellsWhetherTheManifestIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := pace.NewBudgetAt(1)
		must(t, budget.Acquire(t.Context())) // another pass has the only connection
		source := reluctant{sourcetest.NewMemory(demo, nil)}
		r := newRig(t, rigOptions{sources: []host.Source{{Source: source, Budget: budget}}})
		ctx, cancel := context.WithCancel(t.Context())
		progress := new(progress.Progress)
		ended := make(chan error, 1)
		go func() {
			_, err := r.run(ctx, demo, progress)
			ended <- err
		}()
		want := func(when string, connections, retries int64) {
			t.Helper()
			synctest.Wait()
			if c, n := progress.Connections.Load(), progress.Retries.Load(); c != connections || n != retries {
				t.Errorf("%s: %d connections and %d retries, want %d and %d", when, c, n, connections, retries)
			}
		}
		want("without a connection", 0, 0)
		budget.Release(pace.NoAnswer, 0)
		want("with one", 1, 0)
		time.Sleep(11 * time.Second)
		want("before it tries again", 0, 1)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) && !errors.Is(err, failure.ErrInterrupted) {
			t.Errorf("the pass ended with %v", err)
		}
	})
}
