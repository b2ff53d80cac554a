package physionet

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"
)

// What a jar holds at most. PhysioNet sets three short cookies; a server or a
// balancer in front of it that sets another one with each answer would fill the
// memory of a daemon, and the headers of its requests until they are refused.
const (
	mostCookies     = 64
	mostCookieBytes = 4 << 10
)

// jar keeps the cookies of one host. Whoever fills it up empties it, but for the
// session.
type jar struct {
	host string

	mu    sync.Mutex
	kept  *cookiejar.Jar
	set   int // cookies, since it was empty
	bytes int // of their names and values
}

func newJar(host string) *jar {
	j := &jar{host: host}
	j.empty()
	return j
}

// SetCookies implements http.CookieJar.
func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	if u.Host != j.host {
		return // nobody else has a say in who we are
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range cookies {
		n := len(c.Name) + len(c.Value)
		if n > mostCookieBytes/2 {
			continue
		}
		if j.set++; j.set > mostCookies || j.bytes+n > mostCookieBytes {
			session := j.session(u)
			j.empty()
			j.kept.SetCookies(u, session)
		}
		j.bytes += n
		j.kept.SetCookies(u, []*http.Cookie{c})
	}
}

// session is what spares the server the check of a password.
func (j *jar) session(u *url.URL) []*http.Cookie {
	for _, c := range j.kept.Cookies(u) {
		if c.Name == "sessionid" { // as Django calls it
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
	if u.Host != j.host {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.kept.Cookies(u)
}

// few is how many cookies, and bytes of them, no server refuses.
const (
	fewCookies     = 4
	fewCookieBytes = 512
)

// overfed reports whether an answer may be about too many cookies.
func (j *jar) overfed(r *http.Response) bool {
	cookies := j.Cookies(r.Request.URL)
	switch r.StatusCode {
	case http.StatusRequestHeaderFieldsTooLarge:
		return len(cookies) > 0
	case http.StatusBadRequest:
		n := 0
		for _, c := range cookies {
			n += len(c.Name) + len(c.Value)
		}
		return len(cookies) > fewCookies || n > fewCookieBytes
	}
	return false
}
