package progress

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstSilence is how long a source that has not answered yet in a phase of a pass
	// may take until that is told, and laterSilence the same of one that has: many take
	// some seconds for an answer now and then.
	firstSilence = time.Second
	laterSilence = 15 * time.Second
)

// silences are what a pass hears of its sources while it has requests on their way
// to them. Safe for concurrent use.
type silences struct {
	mu sync.Mutex
	of map[string]*Silence // by the name of the source
}

// Silence is how long one source has said nothing.
type Silence struct {
	requests atomic.Int64 // on their way
	heard    atomic.Int64 // when it last said something, or was first asked; in nanoseconds of Unix time
	answered atomic.Bool  // it has said something in this phase
}

// Request counts a request to a source until its end, which the caller tells by
// ended. It may be called on a nil Progress.
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

// Ended ends what request returned, on the same Progress.
func (p *Progress) Ended(s *Silence) {
	if p != nil {
		s.requests.Add(-1)
		p.Connections.Add(-1)
	}
}

// Spoke notes that the source has said something. It may be called on nil.
func (s *Silence) Spoke() {
	if s == nil {
		return
	}
	s.heard.Store(time.Now().UnixNano())
	if !s.answered.Load() { // which is read by many, and written once
		s.answered.Store(true)
	}
}

// forget is for a new phase: that a source has given the manifest says little of its
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
