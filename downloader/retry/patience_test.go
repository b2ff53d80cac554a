package retry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// insist runs attempts under a new patience and returns how many there were,
// how long it took, and the last error.
func insist(t *testing.T, b *pace.Budget, attempt func(n int) (bool, error)) (tries int, took time.Duration, err error) {
	t.Helper()
	start := time.Now()
	err = NewPatience(b, new(Health)).Persist(t.Context(), func() (bool, error) {
		tries++
		return attempt(tries)
	}, func(error, time.Duration) {})
	return tries, time.Since(start), err
}

func always(err error) func(int) (bool, error) {
	return func(int) (bool, error) { return false, err }
}

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

func TestPatienceCountsTries(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		tries   int
		atLeast time.Duration
		atMost  time.Duration
	}{
		{"a server that is away for now", &source.StatusError{Code: 502}, maxTransient, 30 * time.Second, 3 * time.Minute},
		{"a reset", syscall.ECONNRESET, maxTransient, 30 * time.Second, 3 * time.Minute},
		{"a stall", failure.ErrStalled, maxTransient, 30 * time.Second, 3 * time.Minute},
		{"wrong bytes", &failure.MismatchError{}, MaxWrong, time.Second, 10 * time.Second},
		{"a web page", source.ErrWebPage, MaxWrong, time.Second, 10 * time.Second},
		{"no such file", source.ErrNotExist, 1, 0, 0},
		{"a refusal", &source.AccessError{Denial: source.Forbidden}, 1, 0, 0},
		{"a wrong password", &source.AccessError{Denial: source.BadCredentials}, 1, 0, 0},
		{"a full disk", &fs.PathError{Op: "write", Err: syscall.ENOSPC}, 1, 0, 0},
		{"Retry-After", &source.StatusError{Code: 429, RetryAfter: 5 * time.Minute}, maxTransient, 35 * time.Minute, 36 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries, took, err := insist(t, pace.NewBudget(1), always(tt.err))
				if tries != tt.tries || took < tt.atLeast || took > tt.atMost {
					t.Errorf("%d tries in %v, want %d in %v to %v", tries, took, tt.tries, tt.atLeast, tt.atMost)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("error = %v, want %v", err, tt.err)
				}
			})
		})
	}
}

// A line that breaks every few minutes for a week is no reason to give up, as
// long as each attempt brings the file forward.
func TestPatienceIsRestoredByProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, _, err := insist(t, pace.NewBudget(1), func(n int) (bool, error) {
			if n == 500 {
				return true, nil
			}
			return true, io.ErrUnexpectedEOF
		})
		if tries != 500 || err != nil {
			t.Errorf("%d tries, %v, want 500 and success", tries, err)
		}
	})
}

// Wrong bytes are not excused by the progress of bringing them.
func TestPatienceWithWrongBytesIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, _, err := insist(t, pace.NewBudget(1), func(int) (bool, error) { return true, &failure.MismatchError{} })
		if tries != MaxWrong || err == nil {
			t.Errorf("%d tries, %v, want %d", tries, err, MaxWrong)
		}
	})
}

// The server restarts: that is nobody's try.
func TestPatienceWaitsForAServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, took, err := insist(t, pace.NewBudget(1), func(int) (bool, error) {
			if time.Since(start) < 20*time.Minute {
				return false, refused
			}
			return false, nil
		})
		if err != nil || took > 22*time.Minute {
			t.Errorf("persist = %v after %v, want success soon after the server was back", err, took)
		}
	})
}

func TestPatienceEndsWithTheOutageLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, took, err := insist(t, pace.NewBudget(1), always(refused))
		if !errors.Is(err, failure.ErrUnreachable) || took < outageLimit || took > outageLimit+3*time.Minute {
			t.Errorf("persist = %v after %v, want %v after %v", err, took, failure.ErrUnreachable, outageLimit)
		}
	})
}

// Nobody had asked the host for a day, and the first connection fails: the
// outage has just begun.
func TestPatienceCountsAnOutageFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pace.NewBudget(1)
		time.Sleep(24 * time.Hour)
		tries, _, err := insist(t, b, func(n int) (bool, error) {
			if n < 3 {
				return false, refused
			}
			return false, nil
		})
		if err != nil || tries != 3 {
			t.Errorf("persist = %v after %d tries, want success at the third", err, tries)
		}
	})
}

func TestPatienceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(failure.ErrInterrupted) })
		start := time.Now()
		err := NewPatience(pace.NewBudget(1), new(Health)).Persist(ctx, func() (bool, error) {
			return false, &source.StatusError{Code: 503, RetryAfter: time.Hour}
		}, func(error, time.Duration) {})
		if !errors.Is(err, failure.ErrInterrupted) || time.Since(start) != time.Second {
			t.Errorf("persist = %v after %v, want %v after 1 s", err, time.Since(start), failure.ErrInterrupted)
		}
	})
}

func TestClassify(t *testing.T) {
	onTheWay := func(err error) error { return &url.Error{Op: "Get", URL: "https://physionet.org", Err: err} }
	for _, tt := range []struct {
		err    error
		want   Verdict
		reason failure.Reason
	}{
		{&source.AccessError{Denial: source.NoCredentials}, Barred, failure.ReasonUnauthorized},
		{&source.AccessError{Denial: source.BadCredentials}, Barred, failure.ReasonUnauthorized},
		{&source.AccessError{Denial: source.Forbidden}, Permanent, failure.ReasonDenied},
		{fmt.Errorf("x: %w", source.ErrNotExist), Permanent, failure.ReasonNotFound},
		{&failure.SpaceError{Err: syscall.ENOSPC}, Fatal, failure.ReasonNoSpace},
		{&failure.SpaceError{Need: 2, Free: 1}, Fatal, failure.ReasonNoSpace},
		{&failure.SpaceError{Need: 2, Free: 1, Disk: 1}, Permanent, failure.ReasonNoSpace},
		{&os.LinkError{Op: "link", Err: syscall.EDQUOT}, Fatal, failure.ReasonNoSpace},
		{store.ErrDamaged, Fatal, failure.ReasonIO},
		{&fs.PathError{Op: "open", Err: syscall.EROFS}, Fatal, failure.ReasonIO},
		{&fs.PathError{Op: "open", Err: syscall.EACCES}, Permanent, failure.ReasonIO},
		{fmt.Errorf("x: %w", manifest.ErrUnsafePath), Permanent, failure.ReasonUnsafePath},
		{errors.Join(&failure.MismatchError{}, nil), wrong, failure.ReasonChecksum},
		{onTheWay(&source.EncodingError{Encoding: "br"}), Permanent, failure.ReasonNetwork},
		{&failure.SizeError{Want: 2, Got: 1}, transient, failure.ReasonSize},
		{&failure.SizeError{Want: 1, Got: 2}, wrong, failure.ReasonSize},
		{&source.StatusError{Code: 500}, transient, failure.ReasonNetwork},
		{onTheWay(io.ErrUnexpectedEOF), transient, failure.ReasonNetwork},
		{onTheWay(refused), unreachable, failure.ReasonNetwork},
		{onTheWay(&net.DNSError{Err: "no such host"}), unreachable, failure.ReasonNetwork},
		{fmt.Errorf("%w: %w", failure.ErrUnreachable, onTheWay(refused)), Barred, failure.ReasonNetwork},
		{onTheWay(x509.UnknownAuthorityError{}), Barred, failure.ReasonNetwork},
		{errors.New("whatever"), transient, failure.ReasonNetwork},
	} {
		if got, reason := Classify(tt.err); got != tt.want || reason != tt.reason {
			t.Errorf("classify(%v) = %v, %v, want %v, %v", tt.err, got, reason, tt.want, tt.reason)
		}
	}
}
