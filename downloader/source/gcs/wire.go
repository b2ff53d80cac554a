package gcs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// exchange is the state between one call of Open or List and the server. It travels in the
// context of the call through the client library, which returns less than needed. One
// goroutine at a time uses it.
type exchange struct {
	ref       manifest.Ref
	noneMatch string // the generation that isn't wanted, or empty
	offset    int64  // of the first requested byte
	listing   bool   // and not an object

	// whole is an answer with all of the object, although a part was requested.
	whole *http.Response

	who    *identity // whose token was sent
	status int       // of the last answer
	header http.Header
	refusal
	// page means that the last answer was a web page, and so not the store's.
	page bool
	// failed is why there is no request: there is no token.
	failed error
	// broken is why a body ended too soon. After that, there are no requests.
	broken error
}

// generationHeader is a header of every object that the store sends.
const generationHeader = "X-Goog-Generation"

type exchangeKey struct{}

func (x *exchange) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// wire is the http.RoundTripper below the client library: it sends the actual requests. It
// is safe for concurrent use.
type wire struct {
	base  http.RoundTripper
	login *login
	agent string
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("gcs: the client sent an unexpected request")
	}
	if x.broken != nil {
		return nil, x.broken
	}
	response, token, err := w.send(r, x)
	if err == nil && response.StatusCode == http.StatusUnauthorized && token != "" {
		// Google revokes tokens before their time. Another one works, or is rejected for a
		// better reason.
		_ = response.Body.Close() // the status was the answer
		w.login.forget(x.who)
		response, _, err = w.send(r, x)
	}
	if err != nil {
		return nil, err
	}
	return x.take(response)
}

// send sends a request with a token, and returns both.
func (w *wire) send(r *http.Request, x *exchange) (*http.Response, string, error) {
	ctx := r.Context()
	who, token, err := w.login.token(ctx)
	if err != nil {
		x.failed, x.who = err, who
		return nil, "", err
	}
	x.who = who
	r = r.Clone(ctx)
	r.Header.Set("User-Agent", w.agent)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if x.noneMatch != "" { // the client knows only the opposite
		r.Header.Set("X-Goog-If-Generation-Not-Match", x.noneMatch)
	}
	response, err := w.base.RoundTrip(r)
	return response, token, err
}

// take notes an answer, and reads it if it is an error: the client library would throw
// parts of it away.
func (x *exchange) take(response *http.Response) (*http.Response, error) {
	x.status, x.header = response.StatusCode, response.Header
	if response.StatusCode/100 == 2 {
		if err := x.judge(response); err != nil {
			_ = response.Body.Close() // its start was enough
			return nil, err
		}
		if x.listing {
			response.Body = bounded{io.LimitReader(response.Body, pageLimit), response.Body}
		}
		response.Body = &watched{ReadCloser: response.Body, exchange: x}
		if response.StatusCode == http.StatusOK && !x.listing && x.offset > 0 {
			x.whole = response // the client can't use it
			return nil, errors.New("the server sent the whole object")
		}
		return response, nil
	}
	const enough = 64 << 10
	text, _ := io.ReadAll(io.LimitReader(response.Body, enough)) // half an error is an error, too
	_ = response.Body.Close()
	x.refusal = parseRefusal(text)
	response.Body = io.NopCloser(bytes.NewReader(text))
	x.page = len(x.codes) == 0 && (strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") || source.IsPage(text))
	return response, nil
}

// pageLimit limits a page of a listing, which the client library reads into memory: 1,000
// objects with all their metadata are 1 MB.
const pageLimit = 16 << 20

// bounded is the beginning of a body.
type bounded struct {
	io.Reader
	io.Closer
}

// judge distinguishes the store's answers from those of a server on the way, which the
// client would take for an empty listing or an object.
func (x *exchange) judge(response *http.Response) error {
	kind := response.Header.Get("Content-Type")
	if x.listing && strings.Contains(kind, "json") {
		body, err := source.Judge(kind, response.Body)
		if err == nil {
			response.Body = body
		}
		return err
	}
	if x.listing || response.Header.Get(generationHeader) == "" {
		body, err := source.Judge(kind, response.Body)
		switch {
		case err != nil:
			return err
		case x.listing:
			return errors.New("the answer isn't a listing")
		}
		response.Body = body
	}
	return nil
}

// watched is a body that remembers how it broke.
type watched struct {
	io.ReadCloser

	exchange *exchange
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && w.exchange.broken == nil {
		w.exchange.broken = err
	}
	return n, err
}
