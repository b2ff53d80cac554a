package lookalike

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// User is an account. Both Name and Email, in any case, can be used to log in.
type User struct {
	Name, Email, Password string
	Credentialed          bool
	// Signed lists the agreements that the user has signed, as "slug@version": each version needs its own.
	Signed []string
	// TrainingUntil is when the user's training expires; zero is never.
	TrainingUntil time.Time
}

// session is what a cookie stands for. It is valid as long as the user's password is the
// one that it was made with.
type session struct{ user, password string }

// AddUser adds a user, or replaces the one of the same name.
func (s *Server) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putUser(u)
}

// UpdateUser changes the user of this name by calling change with a copy; it does nothing if there is none.
func (s *Server) UpdateUser(name string, change func(*User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[strings.ToLower(name)]; u != nil {
		next := *u
		change(&next)
		s.putUser(next)
	}
}

// putUser is called with mu held.
func (s *Server) putUser(u User) {
	u.Signed = slices.Clone(u.Signed)
	s.users[strings.ToLower(u.Name)] = &u
	if u.Email != "" {
		s.users[strings.ToLower(u.Email)] = &u
	}
}

// SetPassword changes a user's password, which ends the user's sessions.
func (s *Server) SetPassword(name, password string) {
	s.UpdateUser(name, func(u *User) { u.Password = password })
}

// Sign records that the user has signed the agreement of a version.
func (s *Server) Sign(name, slug, version string) {
	s.UpdateUser(name, func(u *User) { u.Signed = append(slices.Clone(u.Signed), slug+"@"+version) })
}

// DropSessions ends all sessions, as their expiry does.
func (s *Server) DropSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// basicAllowed reports whether the server reads the request's Authorization header at all.
// PhysioNet does so for only two programs, for GET and HEAD, over TLS; it ignores the
// header of any other request.
func (s *Server) basicAllowed(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if r.TLS == nil && !s.PlainBasic {
		return false
	}
	ua := r.UserAgent()
	return strings.HasPrefix(ua, "Wget/") || strings.HasPrefix(ua, "libwfdb/")
}

// authenticate returns the user that the request's Authorization header or its session
// names, or nil. The header must be there in either case, but with a valid session it isn't
// checked. A client that sends any cookie gets a session.
func (s *Server) authenticate(w *response, r *http.Request) *User {
	if r.Header.Get("Authorization") == "" || !s.basicAllowed(r) {
		return nil
	}
	if u := s.sessionUser(r); u != nil {
		return u
	}
	u := s.checkPassword(r)
	if u != nil && r.Header.Get("Cookie") != "" {
		s.startSession(w, u)
	}
	return u
}

func (s *Server) sessionUser(r *http.Request) *User {
	if r.Header.Get("Cookie") == "" {
		return nil
	}
	c, err := r.Cookie("sessionid")
	if err != nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	se, ok := s.sessions[c.Value]
	if !ok {
		return nil
	}
	if u := s.users[se.user]; u != nil && u.Password == se.password {
		return u
	}
	return nil
}

func (s *Server) startSession(w *response, u *User) {
	id := strings.ToLower(rand.Text())
	s.mu.Lock()
	s.sessions[id] = session{user: strings.ToLower(u.Name), password: u.Password}
	s.mu.Unlock()
	w.Header().Add("Set-Cookie", "sessionid="+id+"; HttpOnly; Max-Age=43200; Path=/; SameSite=Lax; Secure")
}

// checkPassword does the expensive part: PhysioNet hashes for unknown users, too.
func (s *Server) checkPassword(r *http.Request) *User {
	name, password, ok := basicCredentials(r)
	if !ok {
		return nil
	}
	s.counters.passwordChecks.Add(1)
	if s.HashDelay > 0 {
		s.pause(r.Context(), s.HashDelay)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if u := s.users[strings.ToLower(name)]; u != nil && u.Password == password {
		return u
	}
	return nil
}

func basicCredentials(r *http.Request) (name, password string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(token))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

// mayRead reports whether a user, who may be nil, has access to the files.
func (s *Server) mayRead(p *published, v *Version, u *User) bool {
	return !v.DownloadsDisabled && s.hasAccess(p, v, u)
}

// hasAccess applies the access rules to a user, who may be nil. They ignore downloads that
// are switched off.
func (s *Server) hasAccess(p *published, v *Version, u *User) bool {
	if v.Deprecated || v.Georestricted {
		return false
	}
	if p.Policy == Open {
		return true
	}
	if u == nil || !slices.Contains(u.Signed, p.Slug+"@"+v.Version) {
		return false
	}
	if p.Policy == Restricted {
		return true
	}
	return u.Credentialed && (u.TrainingUntil.IsZero() || s.now().Before(u.TrainingUntil))
}

// deny answers a request for files from a user, who may be nil, without access. A 401 asks
// for a password, and its cookie shows whether the client keeps cookies; a client that
// can't use Basic, or is known already, gets a 403.
func (s *Server) deny(w *response, r *http.Request, u *User) {
	if u != nil || !s.basicAllowed(r) {
		forbidden(w)
		return
	}
	s.challenge(w)
}

func (s *Server) challenge(w *response) {
	h := w.Header()
	realm := s.Realm
	if realm == "" {
		realm = "PhysioNet"
	}
	h.Set("Content-Type", htmlType)
	h.Set("Content-Length", "0")
	h.Set("WWW-Authenticate", `Basic realm="`+realm+`", charset="UTF-8"`)
	h.Set("Vary", "Authorization, Origin, Cookie")
	h.Add("Set-Cookie", "testcookie=1; HttpOnly; Path=/; SameSite=Lax; Secure")
	w.WriteHeader(http.StatusUnauthorized)
}
