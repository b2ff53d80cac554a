package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"time"

	"mimicsync/downloader/source"
)

// The contract for bodies that don't reach their end: the connection breaks, the caller
// cancels, or closes early.

func (s *suite) cut() {
	if s.Cut == nil {
		s.t.Skip("the fixture cannot cut")
	}
	for _, after := range []int64{0, 1, int64(len(s.all[large])) - 1} {
		s.Cut(large, after)
		o, err := s.open(source.Request{Path: large})
		if err != nil {
			continue // a break before the first byte may show here
		}
		// io.ReadAll takes only io.EOF for the end.
		b, err := read(o)
		if err == nil {
			s.t.Errorf("reading %s, cut after %d bytes, gave %d bytes and io.EOF, want another error", large, after, len(b))
		}
		if int64(len(b)) > after || !bytes.HasPrefix(s.all[large], b) {
			s.t.Errorf("reading %s, cut after %d bytes, gave %d bytes that are not its first", large, after, len(b))
		}
	}
	s.expect(source.Request{Path: large}, 0)
}

func (s *suite) cancelledBefore() {
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	o, err := s.Source.Open(ctx, source.Request{Ref: Ref, Path: small})
	if err == nil {
		_ = o.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		s.t.Errorf("Open(%s) with a cancelled context = %v, want context.Canceled", small, err)
	}
}

func (s *suite) cancelOpen() {
	if s.Hang == nil {
		s.t.Skip("the fixture cannot hang")
	}
	s.Hang(small)
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		o, err := s.Source.Open(ctx, source.Request{Ref: Ref, Path: small})
		if err == nil {
			_ = o.Body.Close()
		}
		result <- err
	}()
	select {
	case err := <-result:
		s.t.Fatalf("Open(%s) = %v before it was cancelled, want it to hang", small, err)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	s.soon(result, "Open")
}

func (s *suite) cancelRead() {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	o, err := s.Source.Open(ctx, source.Request{Ref: Ref, Path: large})
	if err != nil {
		s.t.Fatalf("Open(%s) = %v, want <nil>", large, err)
	}
	defer func() { _ = o.Body.Close() }()
	if _, err := io.ReadFull(o.Body, make([]byte, 10)); err != nil {
		s.t.Fatalf("Read = %v, want <nil>", err)
	}
	cancel()
	result := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, o.Body)
		result <- err
	}()
	s.soon(result, "Read")
}

func (s *suite) cancelStalledRead() {
	if s.Stall == nil {
		s.t.Skip("the fixture cannot stall")
	}
	s.Stall(large, 1000)
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	o, err := s.Source.Open(ctx, source.Request{Ref: Ref, Path: large})
	if err != nil {
		s.t.Fatalf("Open(%s) = %v, want <nil>", large, err)
	}
	defer func() { _ = o.Body.Close() }()
	if _, err := io.ReadFull(o.Body, make([]byte, 1000)); err != nil {
		s.t.Fatalf("Read = %v, want 1000 bytes before the stall", err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := o.Body.Read(make([]byte, 1))
		result <- err
	}()
	cancel()
	s.soon(result, "Read")
}

// soon waits for the result of a canceled call.
func (s *suite) soon(result <-chan error, call string) {
	s.t.Helper()
	select {
	case err := <-result:
		if !errors.Is(err, context.Canceled) {
			s.t.Errorf("%s after it was cancelled = %v, want context.Canceled", call, err)
		}
	case <-time.After(prompt):
		s.t.Errorf("%s did not return within %v of its cancellation", call, prompt)
	}
}

func (s *suite) closeEarly() {
	round := func() {
		o, err := s.Source.Open(s.t.Context(), source.Request{Ref: Ref, Path: large})
		if err != nil {
			s.t.Fatalf("Open(%s) = %v, want <nil>", large, err)
		}
		if _, err := io.ReadFull(o.Body, make([]byte, 1)); err != nil {
			s.t.Errorf("Read = %v, want <nil>", err)
		}
		if err := o.Body.Close(); err != nil {
			s.t.Errorf("Close = %v, want <nil>", err)
		}
		if _, err := io.Copy(io.Discard, o.Body); err == nil {
			s.t.Error("Read after Close = <nil>, want an error")
		}
	}
	round()
	const rounds, slack = 24, 12 // slack is for idle connections
	before := runtime.NumGoroutine()
	for range rounds {
		round()
	}
	deadline := time.Now().Add(prompt)
	for runtime.NumGoroutine() > before+slack {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d goroutines after %d early closes, want about the %d from before", runtime.NumGoroutine(), rounds, before)
		}
		time.Sleep(time.Millisecond)
	}
}
