package api

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const testToken = "correct-horse-battery-staple"

// attempt is a request at the guard, which is reached as the daemon of Listen
// mirror.lab:8765 and Hosts data.lab.
type attempt struct {
	name    string
	method  string // GET if empty
	local   string // the address that it came to, 127.0.0.1:8765 if empty
	host    string // 127.0.0.1:8765 if empty
	headers map[string]string
	want    int
}

// Everybody who is let through gets 200.
func TestGuard(t *testing.T) {
	const lan = "192.0.2.7:8765"
	bearer := map[string]string{"Authorization": "Bearer " + testToken}
	wrong := map[string]string{"Authorization": "Bearer " + testToken + "x"}
	with := func(name, value string) map[string]string {
		return map[string]string{"Authorization": "Bearer " + testToken, name: value}
	}
	for _, a := range []attempt{
		{name: "reading on loopback", want: 200},
		{name: "reading on localhost", host: "localhost:8765", want: 200},
		{name: "reading on IPv6 loopback", local: "[::1]:8765", host: "[::1]:8765", want: 200},
		{name: "reading through a tunnel to another port", host: "localhost:9000", want: 200},
		{name: "changing without token", method: "POST", want: 401},
		{name: "changing with token", method: "POST", headers: bearer, want: 200},
		{name: "changing with a wrong token", method: "PUT", headers: wrong, want: 401},
		{name: "reading with a wrong token", headers: wrong, want: 401},
		{name: "an empty token", method: "POST", headers: map[string]string{"Authorization": "Bearer "}, want: 401},
		{name: "another scheme", method: "POST", headers: map[string]string{"Authorization": "Basic eDp5"}, want: 401},
		{name: "a made-up session", method: "POST", headers: map[string]string{"Cookie": "mimicsync_8765=9999999999.AAAA"}, want: 401},

		{name: "a name that was pointed here", host: "evil.example", want: 403},
		{name: "such a name with token", host: "evil.example:8765", headers: bearer, want: 403},
		{name: "a name that looks like loopback", host: "127.0.0.1.evil.example", want: 403},
		{name: "another address", host: "192.0.2.8:8765", want: 403},

		{name: "reading from the network", local: lan, host: lan, want: 401},
		{name: "reading from the network as if on loopback", local: lan, host: "localhost", want: 401},
		{name: "reading from the network with token", local: lan, host: lan, headers: bearer, want: 200},
		{name: "the host of a listener", local: lan, host: "mirror.lab:8765", headers: bearer, want: 200},
		{name: "a configured host", local: lan, host: "Data.Lab.", headers: bearer, want: 200},
		{name: "reading by way of a proxy here", host: "data.lab", want: 401},

		{name: "a form of another site", method: "POST", headers: with("Origin", "https://evil.example"), want: 403},
		{name: "a form of nowhere", method: "POST", headers: with("Origin", "null"), want: 403},
		{name: "a page of another port", method: "POST", headers: with("Origin", "http://127.0.0.1:3000"), want: 403},
		{name: "a browser says cross-site", method: "POST", headers: with("Sec-Fetch-Site", "cross-site"), want: 403},
		{name: "a browser says same-site", method: "DELETE", headers: with("Sec-Fetch-Site", "same-site"), want: 403},
		{name: "the daemon's own page", method: "POST", headers: with("Origin", "http://127.0.0.1:8765"), want: 200},
		{name: "a link on another site", headers: map[string]string{"Origin": "https://evil.example"}, want: 200},
		{name: "an image on another site", headers: with("Sec-Fetch-Site", "cross-site"), want: 403},
		{name: "a script on another port", headers: with("Sec-Fetch-Site", "same-site"), want: 403},
		{name: "the address bar", headers: with("Sec-Fetch-Site", "none"), want: 200},
		{name: "the script of the page", headers: with("Sec-Fetch-Site", "same-origin"), want: 200},
		{name: "a link that is followed", headers: map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, want: 200},

		{name: "a proxy that calls us localhost", headers: map[string]string{"X-Forwarded-For": "203.0.113.9"}, want: 401},
		{name: "such a proxy with the standard's header", headers: map[string]string{"Forwarded": "for=203.0.113.9"}, want: 401},
		{name: "a proxy that says who it is for, with token", headers: with("X-Forwarded-For", "203.0.113.9"), want: 200},
		{name: "a name that only a header has", local: lan, host: "evil.example", headers: with("X-Forwarded-Host", "data.lab"), want: 403},
		{name: "a session without an end", method: "POST", headers: map[string]string{"Cookie": "mimicsync_8765=; mimicsync_8765=.x"}, want: 401},
		{name: "paths that lead elsewhere", method: "POST //api/v1/../v1/status", want: 401},
		{name: "login by a form of another site", method: "POST /login", headers: with("Origin", "https://evil.example"), want: 403},
	} {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { a.try(t) })
		})
	}
}

func (a attempt) try(t *testing.T) {
	h := NewGuard(Options{Token: testToken, Listen: []string{"mirror.lab:8765"}, Hosts: []string{"data.lab"}, Logger: slog.New(slog.DiscardHandler)}).
		Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	method, path, _ := strings.Cut(first(a.method, "GET"), " ")
	r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+first(path, "/api/v1/status"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = first(a.host, "127.0.0.1:8765")
	for name, value := range a.headers {
		r.Header.Set(name, value)
	}
	began := time.Now()
	l := listen(t, first(a.local, "127.0.0.1:8765"), h)
	response, err := l.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != a.want {
		t.Errorf("status %d, want %d: %s", response.StatusCode, a.want, body)
	}
	if strings.Contains(string(body), testToken) {
		t.Errorf("the answer has the token: %s", body)
	}
	if a.headers["Authorization"] == "Bearer "+testToken+"x" && time.Since(began) < wrongWait {
		t.Errorf("a wrong token was answered after %v, want %v or more", time.Since(began), wrongWait)
	}
}

// A person opens the page from another machine, is asked for the token, types it
// wrong, types it right, presses a button, and logs out.
func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if MayChange(r.Context()) {
				_, _ = io.WriteString(w, "with buttons")
			}
		})
		guard := NewGuard(Options{Token: testToken, Logger: slog.New(slog.DiscardHandler)})
		l := listen(t, "192.0.2.7:8765", guard.Protect(page))
		browser := l.client()
		browser.Jar, _ = cookiejar.New(nil)
		visit := func(method, path string, form url.Values) (int, string) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), method, "http://192.0.2.7:8765"+path, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", "text/html,*/*")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			response, err := browser.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			return response.StatusCode, string(body)
		}
		for _, step := range []struct {
			method, path, token string
			code                int
			text                string
		}{
			{"GET", "/", "", 401, `action="/login"`},
			{"POST", "/pause", "", 401, `action="/login"`},
			{"GET", "/login", "", 200, `name="token"`},
			{"POST", "/login", "wrong", 401, "Wrong token."},
			{"GET", "/", "", 401, `action="/login"`},
			{"POST", "/login", testToken + "\n", 200, "with buttons"},
			{"POST", "/pause", "", 200, "with buttons"},
			{"POST", "/logout", "", 401, `action="/login"`},
		} {
			code, text := visit(step.method, step.path, url.Values{"token": {step.token}})
			if code != step.code || !strings.Contains(text, step.text) {
				t.Errorf("%s %s with token %q = %d %s, want %d and %q", step.method, step.path, step.token, code, text, step.code, step.text)
			}
		}
		visit("POST", "/login", url.Values{"token": {testToken}})
		time.Sleep(sessionTime - time.Minute)
		if code, _ := visit("GET", "/", nil); code != 200 {
			t.Errorf("shortly before the session ends: %d, want 200", code)
		}
		time.Sleep(time.Minute)
		if code, _ := visit("GET", "/", nil); code != 401 {
			t.Errorf("after the session has ended: %d, want 401", code)
		}
	})
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// pipes is a listener of which each connection is a net.Pipe, so that time in a
// synctest bubble goes on, and that has whatever address a test wants.
type pipes struct {
	address *net.TCPAddr
	conns   chan net.Conn
	done    chan struct{}
}

func listen(t *testing.T, address string, h http.Handler) *pipes {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	l := &pipes{address: a, conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: h, ReadTimeout: readWait, WriteTimeout: writeWait}
	served := make(chan struct{})
	go func() {
		_ = server.Serve(l)
		close(served)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return l
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	close(l.done)
	return nil
}

func (l *pipes) Addr() net.Addr { return l.address }

func (l *pipes) dial() net.Conn {
	here, there := net.Pipe()
	l.conns <- pipeConn{there, l.address}
	return here
}

// client returns one that keeps no connection.
func (l *pipes) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil },
	}}
}

type pipeConn struct {
	net.Conn
	address net.Addr
}

func (c pipeConn) LocalAddr() net.Addr { return c.address }
