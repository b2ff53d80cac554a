package physionet

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"
)

// Limits of a jar. PhysioNet sets three short cookies. A server or load balancer that sets
// another one with each answer would fill the memory of a daemon, and the headers of its
// requests until they are rejected.
const (
	mostCookies     = 64
	mostCookieBytes = 4 << 10 // of names and values
	// leastCookieBytes is the room of a jar in any case: PhysioNet's own cookies take a
	// third of it.
	leastCookieBytes = 256
	// fewCookies is how many cookies, of up to leastCookieBytes, no server rejects.
	fewCookies = 4
)

// jar keeps the cookies of one server. A cookie that doesn't fit empties it, except for the
// session.
type jar struct {
	server *url.URL
	room   int // bytes

	mu    sync.Mutex
	kept  *cookiejar.Jar
	set   int // cookies, since it was empty
	bytes int
}

func newJar(server *url.URL, room int) *jar {
	j := &jar{server: server, room: room}
	j.empty()
	return j
}

// SetCookies implements http.CookieJar.
func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	if !sameServer(u, j.server) {
		return // no other server has a say in our login
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range cookies {
		n := weight(c)
		if n > j.room/2 {
			continue
		}
		if j.set++; j.set > mostCookies || j.bytes+n > j.room {
			session := j.session(u)
			j.empty()
			j.kept.SetCookies(u, session)
		}
		j.bytes += n
		j.kept.SetCookies(u, []*http.Cookie{c})
	}
}

func weight(cookies ...*http.Cookie) (n int) {
	for _, c := range cookies {
		n += len(c.Name) + len(c.Value)
	}
	return n
}

// session is the cookie that spares the server the password check.
func (j *jar) session(u *url.URL) []*http.Cookie {
	for _, c := range j.kept.Cookies(u) {
		if c.Name == "sessionid" { // Django's name for it
			c.Path, c.Secure = "/", u.Scheme == "https"
			return []*http.Cookie{c}
		}
	}
	return nil
}

// empty forgets all cookies. The caller holds mu, or nobody knows j yet.
func (j *jar) empty() {
	j.kept, _ = cookiejar.New(nil) // its error is always nil
	j.set, j.bytes = 0, 0
}

// Cookies implements http.CookieJar.
func (j *jar) Cookies(u *url.URL) []*http.Cookie {
	if !sameServer(u, j.server) {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.kept.Cookies(u)
}

// overfed returns the room for a smaller jar if an answer may complain about too many
// cookies, otherwise 0.
func (j *jar) overfed(r *http.Response) int {
	cookies := j.Cookies(r.Request.URL)
	n := weight(cookies...)
	switch r.StatusCode {
	case http.StatusRequestHeaderFieldsTooLarge:
	case http.StatusBadRequest:
		if len(cookies) <= fewCookies && n <= leastCookieBytes {
			return 0
		}
	default:
		return 0
	}
	if len(cookies) == 0 {
		return 0
	}
	return max(min(n, j.room)/2, leastCookieBytes)
}
