package progress

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstSilence is how long a source that hasn't answered yet in a phase may take before
	// that is told, and laterSilence is that time for one that has: many take some seconds
	// for an answer now and then.
	firstSilence = time.Second
	laterSilence = 15 * time.Second
)

// silences are what a pass hears from its sources while it has requests in flight. Safe for
// concurrent use.
type silences struct {
	mu sync.Mutex
	of map[string]*Silence // by the name of the source
}

// Silence is how long one source has said nothing.
type Silence struct {
	requests atomic.Int64 // in flight
	heard    atomic.Int64 // when it last said something, or was first asked; Unix nanoseconds
	answered atomic.Bool  // it has said something in this phase
}

// Request counts a request to a source until Ended. Safe on a nil Progress.
func (p *Progress) Request(source string) *Silence {
	if p == nil {
		return nil
	}
	p.Connections.Add(1)
	p.silences.mu.Lock()
	defer p.silences.mu.Unlock()
	s := p.silences.of[source]
	if s == nil {
		s = new(Silence)
		if p.silences.of == nil {
			p.silences.of = map[string]*Silence{}
		}
		p.silences.of[source] = s
	}
	if s.requests.Add(1) == 1 {
		s.heard.Store(time.Now().UnixNano())
	}
	return s
}

// Ended ends what Request returned, on the same Progress.
func (p *Progress) Ended(s *Silence) {
	if p != nil {
		s.requests.Add(-1)
		p.Connections.Add(-1)
	}
}

// Spoke notes that the source has said something. Safe on nil.
func (s *Silence) Spoke() {
	if s == nil {
		return
	}
	s.heard.Store(time.Now().UnixNano())
	if !s.answered.Load() { // read by many, written once
		s.answered.Store(true)
	}
}

// forget starts a new phase: a source that served the manifest may still fail to serve
// files.
func (s *silences) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of = nil
}

// waits returns the sources that have been silent for long.
func (s *silences) waits() []Wait {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Wait
	for source, one := range s.of {
		w := Wait{For: source, Why: "it has not answered yet", Since: time.Unix(0, one.heard.Load())}
		least := firstSilence
		if one.answered.Load() {
			w.Why, least = "it sends nothing more", laterSilence
		}
		if one.requests.Load() > 0 && time.Since(w.Since) >= least {
			all = append(all, w)
		}
	}
	return all
}
