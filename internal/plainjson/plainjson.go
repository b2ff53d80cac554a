// Package plainjson makes JSON safe to display. Some of its strings are a server's, and
// encoding/json leaves characters in them that terminals or editors obey: C1 controls, and
// characters that change the direction of text.
package plainjson

import (
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape returns JSON with \u escapes in place of all invisible characters: its meaning
// stays the same. Line ends and tabs between values stay.
func Escape(text []byte) []byte {
	at := first(text)
	if at < 0 {
		return text
	}
	plain := make([]byte, 0, len(text)+64)
	for at >= 0 {
		r, size := utf8.DecodeRune(text[at:])
		plain = append(plain, text[:at]...)
		if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
			plain = appendUnit(appendUnit(plain, high), low)
		} else {
			plain = appendUnit(plain, r)
		}
		text = text[at+size:]
		at = first(text)
	}
	return append(plain, text...)
}

// first is the position of the first invisible character, -1 if there is none.
func first(text []byte) int {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c == 0x7f {
				return i
			}
			i++ // encoding/json has escaped characters below a space
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if !unicode.IsGraphic(r) {
			return i
		}
		i += size
	}
	return -1
}

func appendUnit(to []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(to, '\\', 'u', digits[unit>>12&15], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
}

// Writer escapes what is written to w. Each call must have whole characters, like those of
// slog and of encoding/json's Encoder.
type Writer struct{ W io.Writer }

// Write implements io.Writer.
func (w Writer) Write(b []byte) (int, error) {
	if _, err := w.W.Write(Escape(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}
