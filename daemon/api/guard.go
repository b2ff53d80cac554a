package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mimicsync/internal/loopback"
)

const (
	// wrongWait is the delay for each wrong token.
	wrongWait = 500 * time.Millisecond
	// sessionTime is how long a browser stays logged in.
	sessionTime = 30 * 24 * time.Hour
	// maxLogin is far more than the login form sends. Strangers can send it.
	maxLogin = 4 << 10
)

// Guard checks every request over TCP by these rules, in this order:
//
//  1. Its Host is a name of this machine's loopback, the address that it came to, a host of
//     Options.Listen or one of Options.Hosts, otherwise 403: a name that someone else points
//     to this machine (DNS rebinding) is none of these.
//  2. It doesn't come from a page of another origin, otherwise 403, unless somebody follows a
//     link there: such a page can neither change anything, nor load something unreadable to
//     it in order to learn from the result or to use up the streams.
//  3. It has the token, in Authorization: Bearer or as a session that POST /login began,
//     otherwise 401. Reading needs no token from this machine: if it came to a loopback
//     address by a loopback name, and no proxy says that it asks for somebody else. A wrong
//     token is never ignored.
//
// A session is a cookie that scripts can't read and other sites can't send. It is signed
// with the token, so that it survives a restart and ends with the token. One that is signed
// with another token counts as a wrong token once, and is removed.
//
// A wrong token takes half a second, whatever its sender does meanwhile, and the listeners
// limit the number of connections: that makes at most hundreds of guesses per second, of
// far too many.
type Guard struct {
	token  []byte
	hosts  map[string]bool
	origin *http.CrossOriginProtection
	logger *slog.Logger
}

// NewGuard returns the guard of a server with these options.
func NewGuard(o Options) *Guard {
	g := &Guard{token: []byte(o.Token), hosts: map[string]bool{}, origin: http.NewCrossOriginProtection(), logger: o.Logger}
	for _, address := range slices.Concat(o.Hosts, o.Listen) {
		g.hosts[hostname(address)] = true
	}
	delete(g.hosts, "") // of ":8765"
	return g
}

// fences are headers for browsers: pages of other sites can't frame or embed anything of
// the daemon, or have its type guessed.
var fences = map[string]string{
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "same-origin", // with no-referrer, forms would come from the origin "null"
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// Protect returns a handler that passes permitted requests to next, and serves the login.
func (g *Guard) Protect(next http.Handler) http.Handler {
	inner := http.NewServeMux()
	inner.Handle("/", g.authorize(next))
	inner.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) { showLogin(w, http.StatusOK, "") })
	inner.HandleFunc("POST /login", g.login)
	inner.HandleFunc("POST /logout", g.logout)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range fences {
			w.Header().Set(name, value)
		}
		switch {
		case !g.knows(r):
			refuse(w, r, http.StatusForbidden, "this daemon doesn't answer for the host "+strconv.Quote(r.Host),
				"use an address of this machine, or add the name to hosts in the daemon's configuration")
		case g.origin.Check(r) != nil || isEmbedded(r):
			refuse(w, r, http.StatusForbidden, "requests from pages of other sites are refused", "use this daemon's own page")
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// mayChange is the context key for whether the guard saw the token.
type mayChange struct{}

// MayChange reports whether the request of ctx has the token. A page decides by it whether
// to show its buttons; the guard checks changes in any case.
func MayChange(ctx context.Context) bool {
	_, ok := ctx.Value(mayChange{}).(bool)
	return ok
}

func (g *Guard) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, bearer, sent := strings.Cut(r.Header.Get("Authorization"), " ")
		sent = sent && strings.EqualFold(scheme, "Bearer")
		switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
		case sent && !g.right(r, bearer):
			refuse(w, r, http.StatusUnauthorized, "the token is wrong", hintToken)
		case sent || g.inSession(w, r):
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), mayChange{}, true)))
		case reads && fromHere(r):
			next.ServeHTTP(w, r)
		default:
			refuse(w, r, http.StatusUnauthorized, "this needs the daemon's token", hintToken)
		}
	})
}

const hintToken = "print the token on the daemon's machine with: mimicsync daemon token; send it as Authorization: Bearer TOKEN, or log in at /login"

// right compares a token in constant time. A wrong one causes a delay.
func (g *Guard) right(r *http.Request, token string) bool {
	a, b := sha256.Sum256([]byte(token)), sha256.Sum256(g.token) // of equal length
	if len(g.token) > 0 && subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return true
	}
	g.wrong(r)
	return false
}

// wrong delays the sender of a wrong token. Closing the connection doesn't help: it counts
// until then.
func (g *Guard) wrong(r *http.Request) {
	g.logger.WarnContext(r.Context(), "wrong token", "remote", r.RemoteAddr)
	time.Sleep(wrongWait)
}

// knows reports whether a request names this host.
func (g *Guard) knows(r *http.Request) bool {
	host := hostname(r.Host)
	if g.hosts[host] || loopback.Is(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap() == localIP(r)
}

// isEmbedded reports whether a browser says that a page of another origin loads this, and
// nobody follows a link. Browsers say so to loopback and over https.
func isEmbedded(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate"
	}
	return false
}

// proxied are headers in which a proxy names its client.
var proxied = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"}

// fromHere reports whether a request comes from this machine, as far as that can be known:
// some proxies pass requests from anywhere on to localhost, under that name.
func fromHere(r *http.Request) bool {
	return localIP(r).IsLoopback() && loopback.Is(hostname(r.Host)) &&
		!slices.ContainsFunc(proxied, func(name string) bool { return len(r.Header[name]) > 0 })
}

// localIP is the address that a request came to.
func localIP(r *http.Request) netip.Addr {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// hostname is an address without its port, for comparing hosts.
func hostname(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func (g *Guard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	if !g.right(r, strings.TrimSpace(r.PostFormValue("token"))) {
		showLogin(w, http.StatusUnauthorized, "Wrong token.")
		return
	}
	until := time.Now().Add(sessionTime).Unix()
	g.setCookie(w, r, g.session(until), int(sessionTime.Seconds()))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (g *Guard) logout(w http.ResponseWriter, r *http.Request) {
	g.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (g *Guard) setCookie(w http.ResponseWriter, r *http.Request, value string, age int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure where it can be
		Name: cookieName(r), Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// A proxy may speak https with the browser; on loopback there is no TLS.
		Secure: strings.HasPrefix(r.Header.Get("Origin"), "https://"),
	})
}

// cookieName distinguishes daemons of one machine: browsers send cookies to all ports of a
// host.
func cookieName(r *http.Request) string {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return "mimicsync_" + strconv.Itoa(a.Port)
	}
	return "mimicsync"
}

// session is the value of a cookie that is valid until a Unix time.
func (g *Guard) session(until int64) string {
	text := strconv.FormatInt(until, 10)
	mac := hmac.New(sha256.New, g.token)
	mac.Write([]byte("mimicsync session " + text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (g *Guard) inSession(w http.ResponseWriter, r *http.Request) bool {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil || len(g.token) == 0 {
		return false
	}
	text, _, _ := strings.Cut(cookie.Value, ".")
	until, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || time.Now().Unix() >= until:
		return false
	case hmac.Equal([]byte(cookie.Value), []byte(g.session(until))):
		return true
	}
	g.wrong(r)                // otherwise a session would be the fast way to try tokens
	g.setCookie(w, r, "", -1) // otherwise a browser would wait each time after the token was changed
	return false
}
