package host

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
)

// What a host says is no reason for more connections unless it brought bytes.
func TestBudgetGrowsOnBytesAlone(t *testing.T) {
	errorOf := func(code int) error { return &source.StatusError{Code: code} }
	for _, tt := range []struct {
		name string
		err  error
		most int // the limit after such answers alone, while others wait
	}{
		{"bytes", nil, 8},
		{"304", source.ErrNotModified, 2},
		{"404", source.ErrNotExist, 2},
		{"403", &source.AccessError{Denial: source.Forbidden}, 2},
		{"416", source.ErrRange, 2},
		{"418", errorOf(418), 2},
		{"500", errorOf(500), 1},
		{"502", errorOf(502), 1},
		{"504", errorOf(504), 1},
		{"520", errorOf(520), 1},
		{"503", errorOf(503), 1},
		{"web page", source.ErrWebPage, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := Source{Budget: pace.NewBudget(8)}
				var wg sync.WaitGroup
				end := time.Now().Add(5 * time.Second)
				for range 20 { // 12 more than there can be connections
					wg.Go(func() {
						for time.Now().Before(end) {
							if b.Budget.Acquire(t.Context()) != nil {
								return
							}
							time.Sleep(50 * time.Millisecond)
							if tt.err == nil {
								b.Budget.Progress(9000)
							}
							b.Release(tt.err)
						}
					})
				}
				wg.Wait()
				if _, limit, _ := b.Budget.Connections(); limit > tt.most || tt.err == nil && limit < 8 {
					t.Errorf("the limit is %d, want %d at most", limit, tt.most)
				}
			})
		})
	}
}
