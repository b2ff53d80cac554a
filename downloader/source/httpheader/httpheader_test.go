package httpheader

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/source"
)

func TestRange(t *testing.T) {
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, 0, "bytes=0-"}, {500, 0, "bytes=500-"}, {500, 500, "bytes=500-999"}, {0, 1, "bytes=0-0"}} {
		if got := Range(c.offset, c.length); got != c.want {
			t.Errorf("Range(%d, %d) = %q, want %q", c.offset, c.length, got, c.want)
		}
	}
}

func TestParseContentRange(t *testing.T) {
	for _, c := range []struct {
		text              string
		start, end, total int64
		ok                bool
	}{
		{"bytes 500-999/1000", 500, 1000, 1000, true},
		{"bytes 0-0/*", 0, 1, -1, true},
		{"", 0, 0, 0, false},
		{"bytes */1000", 0, 0, 0, false},
		{"bytes 999-500/1000", 0, 0, 0, false},
		{"bytes -5-9/10", 0, 0, 0, false},
		{"items 0-9/10", 0, 0, 0, false},
		{"bytes 0-9223372036854775807/*", 0, 0, 0, false}, // its end has no number
		{"bytes 0-9223372036854775808/*", 0, 0, 0, false},
	} {
		start, end, total, ok := ParseContentRange(c.text)
		if start != c.start || end != c.end || total != c.total || ok != c.ok {
			t.Errorf("ParseContentRange(%q) = %d, %d, %d, %v, want %d, %d, %d, %v", c.text, start, end, total, ok, c.start, c.end, c.total, c.ok)
		}
	}
	for _, text := range []string{"bytes 0-10/10", "bytes 0-9/ten", "bytes 0-9/-1"} {
		if _, _, _, ok := ParseContentRange(text); ok {
			t.Errorf("ParseContentRange(%q) is taken for one", text)
		}
	}
}

func TestEndsAsAsked(t *testing.T) {
	for _, c := range []struct {
		offset, length, end, total int64
		want                       bool
	}{
		{0, 0, 10, 10, true},
		{0, 0, 9, 10, false},
		{5, 0, 7, -1, true},
		{5, 5, 10, 20, true},
		{5, 5, 8, 8, true},
		{5, 5, 11, 20, false},
	} {
		if got := EndsAsAsked(source.Request{Offset: c.offset, Length: c.length}, c.end, c.total); got != c.want {
			t.Errorf("EndsAsAsked of %+v = %v", c, got)
		}
	}
}

func TestStrongETag(t *testing.T) {
	for tag, want := range map[string]string{`"a"`: `"a"`, `W/"a"`: "", "": ""} {
		if got := StrongETag(tag); got != want {
			t.Errorf("StrongETag(%s) = %q, want %q", tag, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]time.Duration{
			"": 0, "soon": 0, "-1": 0, "0": 0, "7": 7 * time.Second, "86400": time.Hour,
			"9223372037":          time.Hour, // which is no number of nanoseconds
			"9223372036854775807": time.Hour,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):    time.Minute,
			time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):     0,
			time.Now().Add(48 * time.Hour).UTC().Format(http.TimeFormat): time.Hour,
		} {
			if got := RetryAfter(text); got != want {
				t.Errorf("RetryAfter(%q) = %v, want %v", text, got, want)
			}
		}
	})
}
