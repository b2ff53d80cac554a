package physionet

import (
	"context"
	"time"
)

// rejectedFor is how long an account that the server does not accept is not tried
// again unless it has changed: each try costs the server a hash, and many of them
// look like an attack. A pass that is started later may try.
const rejectedFor = time.Minute

// identify finds the account for a server that has asked for one, nil if there is
// none, and says whether it may be sent.
func (s *Source) identify(ctx context.Context) (account *Credentials, usable bool, err error) {
	s.finding.Lock()
	defer s.finding.Unlock()
	if account := s.account.Load(); account != nil {
		return account, true, nil
	}
	found, err := s.lookUp(ctx)
	if err != nil || found.User == "" {
		return nil, false, err
	}
	if found.User == s.rejected.User && found.Password == s.rejected.Password && time.Since(s.since) < rejectedFor {
		s.found = Credentials{}
		return &found, false, nil
	}
	s.account.Store(&found)
	return &found, true, nil
}

// reject forgets an account that the server does not accept: it is looked up anew
// when the server asks for one again.
func (s *Source) reject(account *Credentials) {
	s.finding.Lock()
	defer s.finding.Unlock()
	if s.account.CompareAndSwap(account, nil) {
		s.found, s.rejected, s.since = Credentials{}, *account, time.Now()
	}
}

// lookUp finds the account, once. The caller holds finding.
func (s *Source) lookUp(ctx context.Context) (Credentials, error) {
	if s.found.User != "" {
		return s.found, nil
	}
	var err error
	s.found, err = s.find(ctx)
	return s.found, err
}
