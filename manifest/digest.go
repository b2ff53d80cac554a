package manifest

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Digest is the SHA-256 of a file's bytes. It is an array, not a string: it compares with
// ==, can be a map key, and is never mistaken for a path.
type Digest [32]byte

// hexLen is the length of a digest in a manifest.
const hexLen = 2 * len(Digest{})

var errNotHex = errors.New("want 64 hexadecimal digits")

// ParseDigest reads 64 hexadecimal digits of either case.
func ParseDigest(s string) (Digest, error) {
	var (
		d    Digest
		text [hexLen]byte
	)
	if len(s) != hexLen {
		return Digest{}, fmt.Errorf("digest %q: %w, have %d bytes", clip(s), errNotHex, len(s))
	}
	copy(text[:], s)
	if _, err := hex.Decode(d[:], text[:]); err != nil {
		return Digest{}, fmt.Errorf("digest %q: %w", clip(s), errNotHex)
	}
	return d, nil
}

// String returns 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes the digest as String does.
func (d Digest) MarshalText() ([]byte, error) {
	return hex.AppendEncode(make([]byte, 0, hexLen), d[:]), nil
}

// UnmarshalText reads what MarshalText wrote; it leaves d alone if the text is not a digest.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
