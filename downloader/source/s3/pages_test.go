package s3_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
)

// TestAnswersOfOthers: what stands between here and the store speaks no XML,
// and may speak without end.
func TestAnswersOfOthers(t *testing.T) {
	endless := strings.Repeat("<p>spam</p>", 10_000)
	for _, code := range []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusForbidden, http.StatusNotFound, http.StatusTeapot} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			sent := 0
			src := newSource(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(code)
				for range 1000 {
					n, err := io.WriteString(w, endless)
					if sent += n; err != nil {
						return
					}
				}
			})))
			_, err := fetch(t, src, source.Request{Path: large})
			status, ok := errors.AsType[*source.StatusError](err)
			if code >= 500 && (!ok || status.Code != code) {
				t.Errorf("Open = %v, want a StatusError of %d", err, code)
			}
			if code < 500 && !errors.Is(err, source.ErrWebPage) {
				t.Errorf("Open = %v, want ErrWebPage", err)
			}
		})
	}
}

// TestSuccessesThatAreNone: a page or an error under the status of a success is no
// object and no listing, and so is an answer without anything.
func TestSuccessesThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		kind, body string
		page       bool
	}{
		"a page":           {"text/html; charset=utf-8", "<!DOCTYPE html><p>Log in</p>", true},
		"an unnamed page":  {"application/octet-stream", "\n<HTML><body>Log in", true},
		"an error in XML":  {"application/xml", "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>", false},
		"an error in JSON": {"application/json", `{"error": "busy"}`, false},
		"nothing":          {"application/xml", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			src := newSource(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				_, _ = io.WriteString(w, tt.body)
			})))
			_, err := fetch(t, src, source.Request{Path: large})
			for _, lerr := range src.List(t.Context(), mimic) {
				for what, err := range map[string]error{"Open": err, "List": lerr} {
					_, refused := errors.AsType[*source.AccessError](err)
					if err == nil || refused || errors.Is(err, source.ErrNotExist) {
						t.Errorf("%s = %v, want trouble", what, err)
					}
					if got := errors.Is(err, source.ErrWebPage); got != tt.page && (what == "Open" || tt.kind != "application/octet-stream") {
						t.Errorf("%s = %v, want ErrWebPage: %v", what, err, tt.page)
					}
				}
				return
			}
			t.Error("List gave nothing, want an error")
		})
	}
}

func TestWebPage(t *testing.T) {
	src := newSource(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>Welcome to the hotel's network</html>")
	})))
	if _, err := fetch(t, src, source.Request{Path: large}); !errors.Is(err, source.ErrWebPage) {
		t.Errorf("Open = %v, want ErrWebPage", err)
	}
}

// TestPackedObjects: what somebody has uploaded with Content-Encoding gzip under the
// name of a plain file is unpacked, whole; other encodings are named.
func TestPackedObjects(t *testing.T) {
	published := bytes.Repeat([]byte("subject_id\n"), 3000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(published)
	_ = z.Close()
	all := map[string][]byte{"a.csv": packed.Bytes()}
	for encoding, want := range map[string][]byte{"gzip": published, "aws-chunked,gzip": published, "aws-chunked": packed.Bytes(), "utf-8": packed.Bytes()} {
		src := newSource(t, serve(t, open(lookalike.S3Bucket{ContentEncoding: encoding, Objects: objects("mimiciv/3.1/", all)})))
		if b, err := fetch(t, src, source.Request{Path: "a.csv"}); err != nil || !bytes.Equal(b, want) {
			t.Errorf("Open of what is stored as %s gave %d bytes, %v, want %d", encoding, len(b), err, len(want))
		}
	}
	src := newSource(t, serve(t, open(lookalike.S3Bucket{ContentEncoding: "gzip", Objects: objects("mimiciv/3.1/", all)})))
	o, err := src.Open(t.Context(), source.Request{Ref: mimic, Path: "a.csv", Offset: 20, Length: 20})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(o.Body)
	if err = errors.Join(err, o.Body.Close()); err != nil || o.Offset != 0 || o.Size != -1 || !bytes.Equal(b, published) {
		t.Errorf("Open of a part gave %d bytes from %d of %d, %v, want the whole", len(b), o.Offset, o.Size, err)
	}
	src = newSource(t, serve(t, open(lookalike.S3Bucket{ContentEncoding: "zstd", Objects: objects("mimiciv/3.1/", all)})))
	_, err = fetch(t, src, source.Request{Path: "a.csv"})
	if e, ok := errors.AsType[*source.EncodingError](err); !ok || e.Encoding != "zstd" {
		t.Errorf("Open of what is stored as zstd = %v, want that to be said", err)
	}
}
