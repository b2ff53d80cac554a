package httpheader

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxBytes limits the header of an answer. PhysioNet's has half a KiB; net/http would
// accept 10 MB, and quote a line of it in an error.
const maxBytes = 64 << 10

// Guard is a transport whose errors don't repeat what a server sent: that may be the
// password from the request, rows of patients, or megabytes.
type Guard struct{ *http.Transport }

// NewGuard limits the headers that a transport reads.
func NewGuard(t *http.Transport) Guard {
	t.MaxResponseHeaderBytes = maxBytes
	return Guard{t}
}

// RoundTrip implements http.RoundTripper.
func (g Guard) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := g.Transport.RoundTrip(r)
	if err != nil {
		return nil, withoutQuotes(err)
	}
	if response.Body != http.NoBody {
		response.Body = guarded{response.Body}
	}
	return response, nil
}

// guarded is a body: its errors may quote the server, too.
type guarded struct{ io.ReadCloser }

// Read implements io.Reader.
func (g guarded) Read(b []byte) (int, error) {
	n, err := g.ReadCloser.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // the end is no error, and there are many
		err = withoutQuotes(err)
	}
	return n, err
}

// protocolError describes an invalid answer in the library's words only.
type protocolError struct{ text string }

// Error says what is wrong, without quoting the server.
func (e *protocolError) Error() string { return e.text + " (the server's text isn't shown)" }

// withoutQuotes removes from an error what net/http and net/textproto quote of an answer
// that they can't read. Other errors stay: they are about the connection or the context, or
// have this program's words.
func withoutQuotes(err error) error {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &network) || errors.As(err, &certificate) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	text := err.Error()
	end := len(text)
	if at := strings.IndexAny(text, "\"["); at >= 0 {
		end = at
	}
	// textproto: "malformed MIME header line: " and the line.
	if at := strings.Index(text, "malformed"); at >= 0 && at < end {
		if colon := strings.IndexByte(text[at:end], ':'); colon >= 0 {
			end = at + colon
		}
	}
	if end == len(text) {
		return err
	}
	return &protocolError{strings.TrimRight(text[:end], " :;")}
}
