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
	"strconv"
	"strings"
	"time"
)

const (
	// wrongWait is what each wrong token costs who tries it.
	wrongWait = 500 * time.Millisecond
	// sessionTime is how long a browser stays logged in.
	sessionTime = 30 * 24 * time.Hour
)

// Guard stands before everything that is reached over TCP, and lets a request
// through by these rules, in this order:
//
//  1. Its Host is a name of this machine's loopback, the address that it came to,
//     a host of Options.Listen or one of Options.Hosts, else 403: a name that
//     someone else points to this machine (DNS rebinding) is none of these.
//  2. If it changes anything (it is not GET or HEAD), it does not come from a page
//     of another origin, else 403.
//  3. It carries the token, in Authorization: Bearer or as a session that POST
//     /login began, else 401. Reading needs none from this machine itself: where
//     it came to a loopback address by a loopback name. A wrong token is never
//     taken for none.
//
// A session is a cookie that scripts cannot read and other sites cannot send. It
// is signed with the token, so that it survives a restart and ends with the token.
type Guard struct {
	token  []byte
	hosts  map[string]bool
	origin *http.CrossOriginProtection
	logger *slog.Logger
}

// NewGuard returns the guard of a server with these options.
func NewGuard(o Options) *Guard {
	g := &Guard{token: []byte(o.Token), hosts: map[string]bool{}, origin: http.NewCrossOriginProtection(), logger: o.Logger}
	for _, address := range append(o.Hosts, o.Listen...) {
		g.hosts[hostname(address)] = true
	}
	delete(g.hosts, "") // of ":8765"
	return g
}

// Protect returns a handler that hands on to next what may pass, and serves the
// login.
func (g *Guard) Protect(next http.Handler) http.Handler {
	inner := http.NewServeMux()
	inner.Handle("/", g.authorize(next))
	inner.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) { showLogin(w, http.StatusOK, "") })
	inner.HandleFunc("POST /login", g.login)
	inner.HandleFunc("POST /logout", g.logout)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.knows(r):
			refuse(w, r, http.StatusForbidden, "the host "+strconv.Quote(r.Host)+" is not one of this daemon",
				"open it by an address of this machine, or add the name to the hosts of the daemon's configuration")
		case g.origin.Check(r) != nil:
			refuse(w, r, http.StatusForbidden, "a page of another site may not change anything here", "use the page of this daemon")
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// mayChange is where a request's context says that the guard saw the token.
type mayChange struct{}

// MayChange reports whether the request that ctx belongs to carries the token. A
// page shows its buttons by it; whatever changes something got past the guard.
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
		case sent || g.inSession(r):
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), mayChange{}, true)))
		case reads && fromHere(r):
			next.ServeHTTP(w, r)
		default:
			refuse(w, r, http.StatusUnauthorized, "this needs the daemon's token", hintToken)
		}
	})
}

const hintToken = "print it on the daemon's machine with: mimicsync daemon token; send it as Authorization: Bearer TOKEN, or log in at /login"

// right compares a token in constant time. A wrong one takes a while.
func (g *Guard) right(r *http.Request, token string) bool {
	a, b := sha256.Sum256([]byte(token)), sha256.Sum256(g.token) // of equal length
	if len(g.token) > 0 && subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return true
	}
	g.logger.WarnContext(r.Context(), "wrong token", "remote", r.RemoteAddr)
	select {
	case <-time.After(wrongWait):
	case <-r.Context().Done():
	}
	return false
}

// knows reports whether a request names a host that is this one.
func (g *Guard) knows(r *http.Request) bool {
	host := hostname(r.Host)
	if g.hosts[host] || isLoopback(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap() == localIP(r)
}

// fromHere reports whether a request cannot come from another machine, nor by way
// of a proxy that says for whom it asks.
func fromHere(r *http.Request) bool { return localIP(r).IsLoopback() && isLoopback(hostname(r.Host)) }

// localIP is the address that a request came to.
func localIP(r *http.Request) netip.Addr {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// hostname is an address without its port, as hosts are compared.
func hostname(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func (g *Guard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if !g.right(r, strings.TrimSpace(r.PostFormValue("token"))) {
		showLogin(w, http.StatusUnauthorized, "That is not the token.")
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
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure would keep it from http on loopback, which is the usual way
		Name: cookieName(r), Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// cookieName tells daemons of one machine apart: browsers send cookies to all
// ports of a host.
func cookieName(r *http.Request) string {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return "mimicsync_" + strconv.Itoa(a.Port)
	}
	return "mimicsync"
}

// session is the value of a cookie that is good until a Unix time.
func (g *Guard) session(until int64) string {
	text := strconv.FormatInt(until, 10)
	mac := hmac.New(sha256.New, g.token)
	mac.Write([]byte("mimicsync session " + text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (g *Guard) inSession(r *http.Request) bool {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil || len(g.token) == 0 {
		return false
	}
	text, _, _ := strings.Cut(cookie.Value, ".")
	until, err := strconv.ParseInt(text, 10, 64)
	return err == nil && time.Now().Unix() < until && hmac.Equal([]byte(cookie.Value), []byte(g.session(until)))
}
