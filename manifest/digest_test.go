package manifest

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseDigest(t *testing.T) {
	upper, err := ParseDigest(hexB)
	if err != nil {
		t.Fatalf("ParseDigest(%q) = %v", hexB, err)
	}
	if got, want := upper.String(), strings.ToLower(hexB); got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	for _, bad := range []string{"", hexA[:63], hexA + "0", hexA[:63] + "g", hexA[:62] + "é"} {
		if got, err := ParseDigest(bad); err == nil {
			t.Errorf("ParseDigest(%q) = %v, want an error", bad, got)
		}
	}
}

func TestDigestAsText(t *testing.T) {
	want := digest(t, hexA)
	text, err := json.Marshal(want)
	if err != nil || string(text) != `"`+hexA+`"` {
		t.Fatalf("Marshal(%v) = %s, %v", want, text, err)
	}
	var got Digest
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("Unmarshal(%s) = %v, %v, want %v", text, got, err, want)
	}
	if err := got.UnmarshalText([]byte("short")); err == nil || got != want {
		t.Errorf("UnmarshalText(short) = %v and %v, want an error and the digest unchanged", err, got)
	}
}
