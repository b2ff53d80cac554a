package plainjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestEscapeSaysTheSame(t *testing.T) {
	for _, s := range []string{
		"", "a\tb\n", "größer, 日本語, ½, 😀", "\u009b31mred", "pay\u202egnp.exe", "\u2066a\u2069", "\u200b\ufeff\u00ad", "\x7f", "\u2028", "\U000e0041",
		"\U0001f468\u200d\U0001f469", "\u0085",
	} {
		b, err := json.Marshal(map[string]string{"detail": s, s: "x"})
		if err != nil {
			t.Fatal(err)
		}
		got := Escape(b)
		var was, is map[string]string
		if err := json.Unmarshal(b, &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &is); err != nil || is["detail"] != s || is[s] != was[s] {
			t.Errorf("Escape(%q) = %q, %v, which is not the same", b, got, err)
		}
		if i := strings.IndexFunc(string(got), func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("Escape(%q) = %q, with an unseen character at %d", b, got, i)
		}
	}
	if got := Escape([]byte("{\n\t\"ä\": 1\n}\n")); string(got) != "{\n\t\"ä\": 1\n}\n" {
		t.Errorf("Escape changes what is seen: %q", got)
	}
}

func TestWriterWritesAll(t *testing.T) {
	var to bytes.Buffer
	n, err := Writer{&to}.Write([]byte("\"\u202ea\""))
	if n != 6 || err != nil || to.String() != `"\u202ea"` {
		t.Errorf("Write = %d, %v, %q", n, err, &to)
	}
}
