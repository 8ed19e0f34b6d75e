package directory

import (
	"crypto/rand"
	"hash/crc32"
	"strings"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newSecret is a prefix, 32 random characters (190 bits) and a checksum of 6, by
// which distinguishes a mistyped key from a revoked one without a look-up.
func newSecret(prefix string) string {
	var raw [48]byte
	out := make([]byte, 0, 32)
	for len(out) < 32 {
		_, _ = rand.Read(raw[:]) // never fails
		for _, b := range raw {
			if b < 248 && len(out) < 32 { // 248 = 4 × 62: no character is likelier
				out = append(out, base62[b%62])
			}
		}
	}
	sum := checksum(string(out))
	return prefix + string(out) + string(sum[:])
}

func checksum(s string) (out [6]byte) {
	sum := crc32.ChecksumIEEE([]byte(s))
	for i := range out {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return out
}

// wellFormed reports whether a secret can be one that newSecret made.
func wellFormed(secret, prefix string) bool {
	body, ok := strings.CutPrefix(secret, prefix)
	if !ok || len(body) != 38 {
		return false
	}
	sum := checksum(body[:32])
	return string(sum[:]) == body[32:]
}

// hint shows enough of a secret to tell it from others: "fb_live_4f9c…Qx7K".
func hint(secret, prefix string) string {
	return secret[:len(prefix)+4] + "…" + secret[len(secret)-4:]
}
