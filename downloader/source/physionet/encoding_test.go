package physionet_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
)

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// encoded is a server that sends bytes under a Content-Encoding, in parts where it
// is asked for some.
func encoded(t *testing.T, encoding string, body []byte) string {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", encoding)
		w.Header().Set("ETag", `"1"`)
		if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
			at, _ := strconv.Atoi(strings.TrimSuffix(from, "-"))
			w.Header().Set("Content-Range", "bytes "+strconv.Itoa(at)+"-"+strconv.Itoa(len(body)-1)+"/"+strconv.Itoa(len(body)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body[at:])
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})).URL
}

// Some servers compress on the fly whatever they are asked, and some call the
// format of a file an encoding of it. The bytes are the entry's in both cases.
func TestContentEncodingThatNobodyAskedFor(t *testing.T) {
	table := []byte(strings.Repeat("subject_id,hadm_id\n10000032,22595853\n", 2000))
	short := []byte("a\n")
	for _, test := range []struct {
		name, path, encoding string
		sent, want           []byte
		whole                bool // with size and validator
	}{
		{"compressed on the fly", "hosp/d.csv", "gzip", zipped(t, table), table, false},
		{"and short", "hosp/d.csv", "x-gzip", zipped(t, short), short, false},
		{"a format that is called an encoding", "hosp/d.csv.gz", "gzip", zipped(t, table), zipped(t, table), true},
		{"and in capitals", "hosp/D.CSV.GZ", " GZip ", zipped(t, table), zipped(t, table), true},
		{"a compressed file that was compressed again", "hosp/d.csv.gz", "gzip", zipped(t, zipped(t, table)), zipped(t, table), false},
		{"an archive", "d.tgz", "gzip", zipped(t, table), zipped(t, table), true},
		{"a label on what is not compressed", "hosp/d.csv", "gzip", table, table, true},
		{"nothing at all", "hosp/empty.csv", "gzip", nil, nil, true},
		{"no encoding", "hosp/d.csv", "identity", table, table, true},
		{"no encoding, said twice", "hosp/d.csv", "identity, Identity", table, table, true},
		{"one, beside none", "hosp/d.csv", "gzip, identity", zipped(t, table), table, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSource(t, physionet.Options{URL: encoded(t, test.encoding, test.sent)})
			o, err := s.Open(t.Context(), source.Request{Ref: demo, Path: test.path})
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(o.Body)
			if err := errors.Join(err, o.Body.Close()); err != nil || !bytes.Equal(got, test.want) {
				t.Errorf("%d bytes, %v, want %d", len(got), err, len(test.want))
			}
			if whole := o.Validator != "" && o.Size == int64(len(test.sent)); whole != test.whole || !whole && (o.Validator != "" || o.Size != -1) {
				t.Errorf("size %d, validator %s of %d bytes sent, want them: %t", o.Size, o.Validator, len(test.sent), test.whole)
			}
		})
	}
}

// A part of a compressed copy is of no use, and all of it is asked for; that of a
// compressed entry is one.
func TestPartsUnderAContentEncoding(t *testing.T) {
	table := []byte(strings.Repeat("10000032,22595853\n", 3000))
	for path, want := range map[string]struct {
		offset int64
		all    []byte
	}{"d.csv": {0, table}, "d.csv.gz": {50, zipped(t, table)}} {
		s := newSource(t, physionet.Options{URL: encoded(t, "gzip", zipped(t, table))})
		o, err := s.Open(t.Context(), source.Request{Ref: demo, Path: path, Offset: 50, Validator: `"1"`})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(o.Body)
		if err := errors.Join(err, o.Body.Close()); err != nil || o.Offset != want.offset || !bytes.Equal(got, want.all[want.offset:]) {
			t.Errorf("%s from byte 50: %d bytes from %d, %v, want from %d", path, len(got), o.Offset, err, want.offset)
		}
	}
}

func TestAContentEncodingThatCannotBeUndone(t *testing.T) {
	for _, encoding := range []string{"br", "zstd", "gzip, br"} {
		s := newSource(t, physionet.Options{URL: encoded(t, encoding, []byte("xyz"))})
		_, err := fetch(t.Context(), s, "d.csv")
		if e, ok := errors.AsType[*source.EncodingError](err); !ok || e.Encoding != encoding || !strings.Contains(err.Error(), strconv.Quote(encoding)) {
			t.Errorf("under %s: %v, want an error that names it", encoding, err)
		}
	}
	cut := zipped(t, []byte(strings.Repeat("10000032,22595853\n", 3000)))
	if _, err := fetch(t.Context(), newSource(t, physionet.Options{URL: encoded(t, "gzip", cut[:len(cut)-9])}), "d.csv"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("compressed and cut short: %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// A cache that says that nothing has changed, to who never had anything, is asked
// to ask the server.
func TestNotModifiedThatNobodyAskedFor(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		requests := 0
		hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			if stubborn || r.Header.Get("Cache-Control") != "no-cache" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			if r.Header.Get("Range") != "" {
				t.Errorf("asked afresh for %s, want all", r.Header.Get("Range"))
			}
			_, _ = io.WriteString(w, "bytes")
		}))
		s := newSource(t, physionet.Options{URL: hs.URL})
		o, err := s.Open(t.Context(), source.Request{Ref: demo, Path: "a.csv", Offset: 3, Validator: `"1"`})
		switch {
		case stubborn:
			if err == nil || errors.Is(err, source.ErrNotModified) || !strings.Contains(err.Error(), "304") {
				t.Errorf("304 without a condition = %v, want an error that says so", err)
			}
		case err != nil || o.Offset != 0 || o.Size != 5:
			t.Errorf("Open = %+v, %v, want all 5 bytes", o, err)
		default:
			_ = o.Body.Close()
		}
		if requests != 2 {
			t.Errorf("%d requests, want 2", requests)
		}
	}
}

// What its name says to be a page is one, however the server calls it.
func TestPagesThatAreData(t *testing.T) {
	for _, kind := range []string{"text/html", "text/html; charset=utf-8", "application/xhtml+xml"} {
		hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, "<html>")
		}))
		s := newSource(t, physionet.Options{URL: hs.URL})
		for path, data := range map[string]bool{
			"doc/a.shtml": true, "doc/a.XHTML": true, "a.htm": true, "INDEX.HTML": true, "a.xht": true, "a.csv": false, "html": false, "a.html.gz": false,
		} {
			_, err := fetch(t.Context(), s, path)
			if (err == nil) != data || !data && !errors.Is(err, source.ErrWebPage) {
				t.Errorf("%s as %s: %v, want it to be data: %t", path, kind, err, data)
			}
		}
	}
}
