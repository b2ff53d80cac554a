package physionet

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mimicsync/manifest"
)

const (
	// rejectedFor is how long a rejected account isn't tried again unless it has changed:
	// each attempt costs the server a hash, and many of them look like an attack. A pass
	// that starts later may try.
	rejectedFor = time.Minute
	// doubtedFor is the same for an account that the server accepted before, the first
	// time; it doubles up to longDoubtedFor. Trying again soon shows whether the login
	// service was in trouble.
	doubtedFor     = time.Second
	longDoubtedFor = 16 * time.Second
)

// memory is our login at the server, and how the server answered it. Requests keep the
// memory that they began with. Its content is behind pointers, which print as addresses.
type memory struct {
	session atomic.Pointer[session] // of future requests

	accepted atomic.Pointer[Credentials] // by the server, at some time
	doubted  atomic.Bool                 // the server has rejected them since

	open        atomic.Pointer[manifest.Ref] // the last version that the server served without an account
	openDoubted atomic.Bool                  // the server has required an account since

	finding sync.Mutex   // held while looking for the account; guards the fields below
	found   *Credentials // nil until it was looked for, and after a rejection
	refused *Credentials // rejected by the server, nil if it has accepted all
	since   time.Time    // when it last did that
	pause   time.Duration

	diagnoses diagnoses
}

// session is how the server recognizes us: cookies, and their account.
type session struct {
	client *http.Client
	jar    *jar
	// account is sent with every request once the server has required one.
	account atomic.Pointer[Credentials]
}

func (s *Source) newSession(room int) *session {
	j := newJar(s.base, room)
	return &session{jar: j, client: &http.Client{Transport: s.transport, Jar: j, CheckRedirect: s.checkRedirect}}
}

// Renew implements source.Renewer.
func (s *Source) Renew() {
	m := &memory{}
	m.session.Store(s.newSession(mostCookieBytes))
	s.memory.Store(m)
}

// restart replaces session c by a new one, unless that has happened already, and returns
// the session to continue with. A new session takes over the cookies of the answer, if
// there is one: they are meant to be sent next.
func (s *Source) restart(m *memory, c *session, room int, answer *http.Response) *session {
	next := s.newSession(room)
	if answer != nil {
		next.jar.SetCookies(s.base, answer.Cookies())
	}
	if m.session.CompareAndSwap(c, next) {
		return next
	}
	return m.session.Load()
}

// identify returns the account for a server that requires one, nil if there is none, and
// whether it may be sent.
func (s *Source) identify(ctx context.Context, m *memory, c *session) (account *Credentials, usable bool, err error) {
	m.finding.Lock()
	defer m.finding.Unlock()
	if account := c.account.Load(); account != nil {
		return account, true, nil
	}
	found, err := s.lookUp(ctx, m)
	if err != nil || found == nil {
		return nil, false, err
	}
	if found.same(m.refused) && time.Since(m.since) < m.pause {
		m.found = nil
		return found, false, nil
	}
	c.account.Store(found)
	return found, true, nil
}

// lookUp looks for the account, once. The caller holds finding.
func (s *Source) lookUp(ctx context.Context, m *memory) (*Credentials, error) {
	if m.found != nil {
		return m.found, nil
	}
	var err error
	m.found, err = s.find(ctx)
	return m.found, err
}

// same reports whether two accounts are the same, with the same password.
func (c *Credentials) same(as *Credentials) bool {
	return c != nil && as != nil && c.User == as.User && c.Password == as.Password
}

// answered notes that the server answered a request about a version: serving a file to an
// account means that it accepts the account.
func (m *memory) answered(ref manifest.Ref, account *Credentials, status int) {
	switch status {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified, http.StatusRequestedRangeNotSatisfiable:
	default:
		return
	}
	m.diagnoses.forget(ref)
	if account == nil {
		m.openDoubted.Store(false)
		if was := m.open.Load(); was == nil || *was != ref {
			last := ref // only this copy is on the heap
			m.open.Store(&last)
		}
		return
	}
	if account == m.accepted.Load() && !m.doubted.Load() {
		return
	}
	m.finding.Lock()
	defer m.finding.Unlock()
	m.accepted.Store(account)
	m.doubted.Store(false)
	m.refused, m.pause = nil, 0
}

// wasAccepted reports whether the server has accepted an account before.
func (m *memory) wasAccepted(account *Credentials) bool { return account.same(m.accepted.Load()) }

// doubt reports whether a rejected account is worth another request: the server accepted it
// before, and this is the first rejection since.
func (m *memory) doubt(account *Credentials) bool {
	return m.wasAccepted(account) && m.doubted.CompareAndSwap(false, true)
}

// doubtOpen is doubt for a request without an account, about a version that needed none
// before.
func (m *memory) doubtOpen(ref manifest.Ref) bool {
	was := m.open.Load()
	return was != nil && *was == ref && m.openDoubted.CompareAndSwap(false, true)
}

// refuse ends the session of an account that the server rejects. The account is looked up
// again when the server requires one again.
func (s *Source) refuse(m *memory, c *session, account *Credentials, answer *http.Response) {
	m.finding.Lock()
	defer m.finding.Unlock()
	if m.session.Load() != c {
		return // one of several running requests; the first has reported it
	}
	s.restart(m, c, c.jar.room, answer)
	switch {
	case !m.wasAccepted(account):
		m.pause = rejectedFor
	case account.same(m.refused):
		m.pause = min(2*m.pause, longDoubtedFor)
	default:
		m.pause = doubtedFor
	}
	m.found, m.refused, m.since = nil, account, time.Now()
}
