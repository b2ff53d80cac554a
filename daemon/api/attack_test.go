package api

import (
	"bufio"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/store"
)

// What comes as text that no browser and no library would send is judged by the
// same rules.
func TestRawRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	t.Parallel()
	const bearer = "Authorization: Bearer " + testToken + "\r\n"
	for _, c := range []struct{ name, request, want string }{
		{"no Host in HTTP/1.0", "GET / HTTP/1.0\r\n" + bearer + "\r\n", "403"},
		{"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n" + bearer + "\r\n", "403"},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "400"},
		{"another host in the request line", "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n" + bearer + "\r\n", "403"},
		{"a user in the Host", "GET / HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", "400"},
		{"a tunnel", "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n", "404"},
		{"a path with dots", "POST /login/%2e%2e/api HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "401"},
		{"headers without end", "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 2*maxHeaders) + "\r\n\r\n", "431"},
		{"a login without end", "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
			"Content-Length: 1000000\r\n\r\ntoken=" + strings.Repeat("x", 2*maxLogin), "401"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, stop := start(t, idleDaemon(t), t.TempDir())
			defer stop()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addresses()[0])
			must(t, err)
			defer func() { _ = conn.Close() }()
			go func() { _, _ = io.WriteString(conn, c.request) }() // an answer may come before its end
			status, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.Contains(status, " "+c.want+" ") {
				t.Errorf("%q, %v, want %s", status, err, c.want)
			}
		})
	}
}

// A session that is signed with a guess is a guess, and costs as much; a browser
// that logged in before the token was changed pays once.
func TestAForgedSessionIsAWrongToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := slog.New(slog.DiscardHandler)
		former := NewGuard(Options{Token: "the-token-of-last-year", Logger: logger})
		l := listen(t, "127.0.0.1:8765", NewGuard(Options{Token: testToken, Logger: logger}).
			Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		for _, method := range []string{"GET", "POST"} {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8765/", nil)
			must(t, err)
			r.AddCookie(&http.Cookie{Name: "mimicsync_8765", Value: former.session(time.Now().Add(time.Hour).Unix())})
			began := time.Now()
			response, err := l.client().Do(r)
			must(t, err)
			_ = response.Body.Close()
			if want := map[string]int{"GET": 200, "POST": 401}[method]; response.StatusCode != want {
				t.Errorf("%s = %d, want %d", method, response.StatusCode, want)
			}
			if took := time.Since(began); took < wrongWait {
				t.Errorf("%s was answered after %v, want %v or more", method, took, wrongWait)
			}
			if cookies := response.Cookies(); len(cookies) != 1 || cookies[0].MaxAge >= 0 {
				t.Errorf("%s: the cookie stays: %v", method, cookies)
			}
		}
	})
}

// Who hangs up after a wrong token, to try the next one, is held to the time all
// the same: the connection counts.
func TestHangingUpDoesNotSpeedUpGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held time.Duration
		h := NewGuard(Options{Token: testToken, Logger: slog.New(slog.DiscardHandler)}).Protect(http.NotFoundHandler())
		l := listen(t, "127.0.0.1:8765", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			h.ServeHTTP(w, r)
			held = time.Since(began)
		}))
		conn := l.dial()
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n")
		must(t, err)
		synctest.Wait()
		_ = conn.Close()
		time.Sleep(2 * wrongWait)
		synctest.Wait()
		if held < wrongWait {
			t.Errorf("the guess was done with after %v, want %v", held, wrongWait)
		}
	})
}

// One machine gets a share of the connections, all together a bound, and who hangs
// up makes room.
func TestConnectionsAreBounded(t *testing.T) {
	b := &bounds{from: map[netip.Prefix]int{}}
	fill := func(address string) (n int) {
		from := network(&net.TCPAddr{IP: net.ParseIP(address), Port: 1})
		for n < 2*maxConns && b.enter(from) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		from string
		want int
	}{
		{"192.0.2.1", maxFrom},
		{"192.0.2.1", 0},
		{"::ffff:192.0.2.1", 0},
		{"2001:db8:1::1", maxFrom},
		{"2001:db8:1::2:2", 0}, // the same machine may have it
		{"127.0.0.1", maxConns - 2*maxFrom},
		{"192.0.2.2", 0},
	} {
		if n := fill(c.from); n != c.want {
			t.Errorf("%s gets %d connections, want %d", c.from, n, c.want)
		}
	}
	b.leave(network(&net.TCPAddr{IP: net.ParseIP("2001:db8:1::7")}))
	if n := fill("192.0.2.3"); n != 1 {
		t.Errorf("after one has left, another machine gets %d connections, want 1", n)
	}
}

// Whoever opens all connections that there are keeps others out, but neither the
// socket nor, once they are closed, anybody.
func TestAFloodOfConnections(t *testing.T) {
	t.Parallel()
	s, stop := start(t, idleDaemon(t), t.TempDir())
	defer stop()
	dial := func() (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addresses()[0])
		if err != nil {
			return nil, err
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, err = io.WriteString(conn, "GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if err == nil {
			_, err = bufio.NewReader(conn).ReadByte()
		}
		return conn, err
	}
	var all []net.Conn
	for range maxConns {
		conn, err := dial()
		must(t, err)
		all = append(all, conn)
	}
	if conn, err := dial(); err == nil {
		_ = conn.Close()
		t.Errorf("connection %d was answered", maxConns+1)
	}
	client, err := Dial(t.Context(), s.o.Mirror)
	must(t, err)
	defer client.Close()
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("Status over the socket = %v", err)
	}
	for _, conn := range all {
		_ = conn.Close()
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		conn, err := dial()
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("after the flood: %v", err)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	h := New(idleDaemon(t), Options{Mirror: t.TempDir(), Token: testToken}).TCP()
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, "127.0.0.1:8765", h)
		open := func() *http.Response {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost"+Prefix+"/events", nil)
			must(t, err)
			response, err := l.client().Do(r)
			must(t, err)
			return response
		}
		var all []*http.Response
		for range maxStreams {
			response := open()
			if response.StatusCode != http.StatusOK {
				t.Fatalf("stream %d: %s", len(all)+1, response.Status)
			}
			all = append(all, response)
		}
		if response := open(); response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("one more stream: %s, want 503", response.Status)
		}
		for _, response := range all {
			_ = response.Body.Close()
		}
		synctest.Wait()
		response := open()
		if response.StatusCode != http.StatusOK {
			t.Errorf("after they are closed: %s, want 200", response.Status)
		}
		_ = response.Body.Close()
	})
}

// A lab has opened the whole mirror to its group, and somebody of it has put links
// where the daemon will make its socket, its address and its token.
func TestAnOpenedMirrorIsClosedAgain(t *testing.T) {
	mirror, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	own := filepath.Join(mirror, store.Dir)
	must(t, os.Mkdir(own, 0o700))
	must(t, os.Chmod(own, 0o777|fs.ModeSetgid))
	must(t, os.WriteFile(elsewhere, []byte("precious"), 0o600))
	for _, name := range []string{socketName, addressName} {
		must(t, os.Symlink(elsewhere, filepath.Join(own, name)))
	}
	if _, err := Token(mirror, ""); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(own); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%s beside a token: %v, %v, want 0700", own, fi.Mode(), err)
	}
	must(t, os.Chmod(own, 0o770))
	_, stop := start(t, idleDaemon(t), mirror)
	for path, want := range map[string]fs.FileMode{own: 0o700, filepath.Join(own, socketName): 0o600, TokenFile(mirror): 0o600} {
		if fi, err := os.Lstat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, fi.Mode(), err, want)
		}
	}
	stop()
	if text, err := os.ReadFile(elsewhere); err != nil || string(text) != "precious" {
		t.Errorf("where the links led: %q, %v", text, err)
	}
}

// The file with the address of a socket names that of another program.
func TestAForgedAddressRemovesNothing(t *testing.T) {
	mirror, dir := t.TempDir(), t.TempDir()
	own := filepath.Join(mirror, store.Dir)
	must(t, os.Mkdir(own, 0o700))
	path := filepath.Join(dir, "docker.sock")
	other, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	must(t, err)
	defer func() { _ = other.Close() }()
	must(t, os.WriteFile(filepath.Join(own, addressName), []byte(path), 0o600))
	_, stop := start(t, idleDaemon(t), mirror)
	stop()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other program's socket: %v", err)
	}
}

// Another machine's daemon has taken the mirror: what it wrote of its socket is left
// when the former one ends.
func TestAnotherDaemonsAddressStays(t *testing.T) {
	mirror := filepath.Join(t.TempDir(), strings.Repeat("long", maxSocketPath/4))
	own := filepath.Join(mirror, store.Dir)
	must(t, os.MkdirAll(own, 0o700))
	_, stop := start(t, idleDaemon(t), mirror)
	address := filepath.Join(own, addressName)
	must(t, os.WriteFile(address, []byte("/run/other/control.sock\n"), 0o600))
	stop()
	if text, err := os.ReadFile(address); err != nil || string(text) != "/run/other/control.sock\n" {
		t.Errorf("the address of the other is %q, %v, want it left", text, err)
	}
}

// A daemon starts while people print its token: all get the same.
func TestATokenIsMadeOnce(t *testing.T) {
	for range 20 {
		mirror := t.TempDir()
		must(t, os.Mkdir(filepath.Join(mirror, store.Dir), 0o700))
		tokens := make([]string, 8)
		var wg sync.WaitGroup
		for i := range tokens {
			wg.Go(func() {
				var err error
				if tokens[i], err = Token(mirror, ""); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, token := range tokens {
			if token != tokens[0] {
				t.Fatalf("two tokens: %q", tokens)
			}
		}
		if left, _ := os.ReadDir(filepath.Join(mirror, store.Dir)); len(left) != 1 {
			t.Fatalf("left behind: %v", left)
		}
	}
}
