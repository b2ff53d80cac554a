package downloader

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/retry"
	"mimicsync/store"
)

// drip brings a byte in a while, and never ends.
type drip struct{ every time.Duration }

func (d drip) Read(b []byte) (int, error) {
	time.Sleep(d.every)
	b[0] = 'a'
	return 1, nil
}

// A manifest that drips in is given up, and one that is slow is not.
func TestAManifestThatDripsIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		every time.Duration
		least int64 // bytes that must come
		slow  bool
	}{{time.Second, 100, true}, {50 * time.Second, 2, true}, {10 * time.Millisecond, 1 << 16, false}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, dog := host.Watch(t.Context(), time.Minute)
			defer dog.End()
			h := &heardReader{r: drip{test.every}, dog: dog, begun: time.Now()}
			_, err := io.CopyN(io.Discard, h, 1<<16)
			if errors.Is(err, failure.ErrStalled) != test.slow || h.n < test.least || ctx.Err() != nil {
				t.Errorf("a byte every %s: %v after %d bytes in %s, want it given up: %v", test.every, err, h.n, time.Since(h.begun), test.slow)
			}
			if took := time.Since(h.begun); test.slow && took > 2*slowManifestTime {
				t.Errorf("a byte every %s: given up after %s", test.every, took)
			}
		})
	}
}

// litany is lines without end.
type litany struct {
	line string
	rest string
	n    int64
}

func (e *litany) Read(b []byte) (int, error) {
	if e.rest == "" {
		e.rest = e.line
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	e.n += int64(n)
	return n, nil
}

// Lines without end are given up at a bound, whatever they are, and are not asked
// for again and again.
func TestAManifestWithoutEndIsGivenUp(t *testing.T) {
	good := strings.Repeat("0123456789abcdef", 4) + " files/p10/a.dcm\n"
	for name, test := range map[string]struct {
		line string
		most int64 // bytes that may be taken
		long bool
	}{
		"zeros":       {line: strings.Repeat("\x00", 4096), most: 1 << 20},
		"one line":    {line: strings.Repeat("a", 4096), most: 1 << 20},
		"a long path": {line: good[:65] + strings.Repeat("a/", 5000) + "\n", most: 1 << 20},
		"entries":     {line: good, most: 1 << 20, long: true},
		"blank lines": {line: "\n", most: 1 << 20, long: true},
		"a web page":  {line: "<p>\n", most: 1 << 20},
	} {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		body := &litany{line: test.line}
		p := &pass{}
		err = p.readManifest(context.Background(), io.TeeReader(body, f), f, manifestBounds{1000, 500_000, -1}, new(store.Manifest))
		if !errors.Is(err, failure.ErrManifest) || errors.Is(err, failure.ErrLongManifest) != test.long || body.n > test.most {
			t.Errorf("%s: %v after %d bytes, want %v within %d", name, err, body.n, failure.ErrManifest, test.most)
		}
		patience := retry.NewPatience(pace.NewBudget(1), new(retry.Health))
		patience.ByClock = true
		if v := patience.Verdict(err); (v == retry.Permanent) != test.long {
			t.Errorf("%s: verdict %d, want it asked for again: %v", name, v, !test.long)
		}
	}
}
