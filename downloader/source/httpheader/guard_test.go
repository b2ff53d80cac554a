package httpheader_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/source/httpheader"
)

// answering returns the address of a server that answers each request with the text
// that answer makes of its header.
func answering(t *testing.T, answer func(header string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				var header strings.Builder
				for lines := bufio.NewReader(conn); ; {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					if header.WriteString(line); line == "\r\n" {
						break
					}
				}
				_, _ = io.WriteString(conn, answer(header.String()))
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/files/demo/1.0/a.csv"
}

// What a server sends is not repeated, however it is wrong: it may be the password
// that it was told, rows of patients, or megabytes.
func TestErrorsDoNotQuoteTheServer(t *testing.T) {
	const row = "10000032,HIV positive"
	echo := func(header string) string {
		_, after, _ := strings.Cut(header, "Authorization: ")
		secret, _, _ := strings.Cut(after, "\r\n")
		return secret
	}
	for name, answer := range map[string]func(header string) string{
		"status line":       func(h string) string { return row + echo(h) + "\r\n\r\n" },
		"status code":       func(h string) string { return "HTTP/1.1 " + echo(h) + " " + row + "\r\n\r\n" },
		"protocol":          func(h string) string { return "HTTP/" + echo(h) + " 200 OK\r\n\r\n" },
		"header line":       func(h string) string { return "HTTP/1.1 200 OK\r\n" + row + echo(h) + "\r\n\r\n" },
		"first header line": func(h string) string { return "HTTP/1.1 200 OK\r\n " + row + echo(h) + "\r\n\r\n" },
		"header name":       func(h string) string { return "HTTP/1.1 200 OK\r\nX " + echo(h) + ": 1\r\n\r\n" },
		"length":            func(h string) string { return "HTTP/1.1 200 OK\r\nContent-Length: " + echo(h) + row + "\r\n\r\n" },
		"two lengths": func(h string) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: 1" + row + "\r\nContent-Length: 2" + row + "\r\n\r\n"
		},
		"encoding":              func(h string) string { return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + echo(h) + row + "\r\n\r\n" },
		"a long header":         func(string) string { return "HTTP/1.1 200 OK\r\nX: " + strings.Repeat(row, 100_000) + "\r\n\r\n" },
		"many headers":          func(string) string { return "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+row+"\r\n", 100_000) + "\r\n" },
		"early answers":         func(string) string { return strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+row+"\r\n\r\n", 100_000) },
		"a malformed long line": func(string) string { return "HTTP/1.1 200 OK\r\n" + strings.Repeat(row, 2500) + "\r\n\r\n" },
		"a chunk's length": func(h string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + echo(h) + row + "\r\n"
		},
		"a trailer": func(h string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + row + echo(h) + "\r\n\r\n"
		},
		"the name of a trailer": func(h string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: " + row + "\r\n\r\n0\r\n" + echo(h) + ": 1\r\n\r\n"
		},
	} {
		client := &http.Client{Transport: httpheader.NewGuard(&http.Transport{DisableKeepAlives: true}), Timeout: 20 * time.Second}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, answering(t, answer), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("marie", "hunter2")
		_, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		response, err := client.Do(r)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		text := fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err))
		if len(text) > 1000 || strings.Contains(text, "HIV") || strings.Contains(text, encoded) {
			t.Errorf("%s: %.300q, %d bytes, which repeats what the server sent", name, text, len(text))
		}
	}
}

// What is not about an answer stays as it is: others judge by it.
func TestErrorsOfTheConnectionStay(t *testing.T) {
	client := &http.Client{Transport: httpheader.NewGuard(&http.Transport{})}
	ask := func(ctx context.Context, address string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}
		return err
	}
	var op *net.OpError
	if err := ask(t.Context(), "http://[::1]:1/"); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("to nobody: %v, want a *net.OpError", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ask(gone, "http://127.0.0.1:1/"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want %v", err, context.Canceled)
	}
	short := answering(t, func(string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc" })
	if err := ask(t.Context(), short); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short body: %v, want %v", err, io.ErrUnexpectedEOF)
	}
}
