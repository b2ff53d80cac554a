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
	// rejectedFor is how long an account that the server does not accept is not tried
	// again unless it has changed: each try costs the server a hash, and many of them
	// look like an attack. A pass that is started later may try.
	rejectedFor = time.Minute
	// doubtedFor is the same for one that the server has accepted before, the first
	// time; it doubles up to longDoubtedFor. Who asks again soon finds out whether
	// the login service was in trouble.
	doubtedFor     = time.Second
	longDoubtedFor = 16 * time.Second
)

// memory is who we are to the server, and what it has said of that. Requests keep
// the one that they began with. What is in it is held by pointers, which print as
// addresses.
type memory struct {
	session atomic.Pointer[session] // of the requests to come

	accepted atomic.Pointer[Credentials] // by the server, at some time
	doubted  atomic.Bool                 // it has refused them since

	open        atomic.Pointer[manifest.Ref] // a version that the server gave to nobody in particular, the last one
	openDoubted atomic.Bool                  // it has asked who we are since

	finding sync.Mutex   // held while the account is looked for; guards what follows
	found   *Credentials // nil until it was looked for, and after a refusal
	refused *Credentials // by the server, nil if it has accepted all
	since   time.Time    // when it did that last
	pause   time.Duration

	diagnoses diagnoses
}

// session is what makes the server know us again: cookies, and the account that
// they stand for.
type session struct {
	client *http.Client
	jar    *jar
	// account goes with every request once the server has asked who we are.
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

// restart begins another session in place of c, unless somebody else has done so,
// and returns the one to go on with. A new one has the cookies of the answer, if
// there is one: they are there to be sent next.
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

// identify finds the account for a server that has asked for one, nil if there is
// none, and says whether it may be sent.
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

// lookUp finds the account, once. The caller holds finding.
func (s *Source) lookUp(ctx context.Context, m *memory) (*Credentials, error) {
	if m.found != nil {
		return m.found, nil
	}
	var err error
	m.found, err = s.find(ctx)
	return m.found, err
}

// same reports whether two accounts are one with the same password.
func (c *Credentials) same(as *Credentials) bool {
	return c != nil && as != nil && c.User == as.User && c.Password == as.Password
}

// answered notes that the server has answered a request about a version: a file for
// an account means that it accepts that.
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
			last := ref // on the heap only here
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

// doubt reports whether an account that was refused is worth another request: the
// server has accepted it before, and this is the first refusal since.
func (m *memory) doubt(account *Credentials) bool {
	return m.wasAccepted(account) && m.doubted.CompareAndSwap(false, true)
}

// doubtOpen is doubt where nobody was named, and a version is refused that needed
// no account before.
func (m *memory) doubtOpen(ref manifest.Ref) bool {
	was := m.open.Load()
	return was != nil && *was == ref && m.openDoubted.CompareAndSwap(false, true)
}

// refuse ends the session of an account that the server does not accept. The
// account is looked up anew when the server asks for one again.
func (s *Source) refuse(m *memory, c *session, account *Credentials, answer *http.Response) {
	m.finding.Lock()
	defer m.finding.Unlock()
	if m.session.Load() != c {
		return // one of several requests that were under way, and the first has said so
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
