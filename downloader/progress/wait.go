package progress

import (
	"slices"
	"sync"
	"time"
)

// Wait is something that a pass waits for: for whom, why, since when, and until when if
// known.
type Wait struct {
	For string `json:"for"` // the name of a source, or what else is awaited
	// Object is what will be requested after the wait: the path of an entry, manifest.Name,
	// or "latest" for the newest version; empty if all requests to the source wait.
	Object string    `json:"object,omitempty"`
	Why    string    `json:"why"` // one line of text
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"` // when it is tried again; zero if unknown
}

// waits are the waits of one pass, by source and object. Safe for concurrent use.
type waits struct {
	mu   sync.Mutex
	open map[waitKey]Wait
}

type waitKey struct{ source, object string }

// Waits returns what the pass waits for now: first the waits of all requests to a source,
// then those of single objects, the longest wait first. Safe on a nil Progress.
func (p *Progress) Waits() []Wait {
	if p == nil {
		return nil
	}
	if told := p.told.Load(); told != nil {
		return slices.Clone(*told)
	}
	all, silent := p.held(), p.silences.waits()
	p.waits.mu.Lock()
	defer p.waits.mu.Unlock()
	for _, w := range silent {
		if _, known := p.waits.open[waitKey{w.For, ""}]; !known { // otherwise more is known about it
			all = append(all, w)
		}
	}
	for _, w := range p.waits.open {
		w.Why = brief(w.For, w.Why)
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b Wait) int {
		if whole := (a.Object == ""); whole != (b.Object == "") {
			if whole {
				return -1
			}
			return 1
		}
		return a.Since.Compare(b.Since)
	})
	return all
}

// Await starts a wait, until Met. A wait that continues keeps its start.
func (p *Progress) Await(w Wait) {
	if p == nil {
		return
	}
	key := waitKey{w.For, w.Object}
	p.waits.mu.Lock()
	defer p.waits.mu.Unlock()
	if w.Since.IsZero() {
		w.Since = time.Now()
	}
	if was, ok := p.waits.open[key]; ok && was.Since.Before(w.Since) {
		w.Since = was.Since
	}
	if p.waits.open == nil {
		p.waits.open = map[waitKey]Wait{}
	}
	p.waits.open[key] = w
}

// Met ends a wait, if there is one.
func (p *Progress) Met(source, object string) {
	if p == nil {
		return
	}
	p.waits.mu.Lock()
	defer p.waits.mu.Unlock()
	delete(p.waits.open, waitKey{source, object})
}
