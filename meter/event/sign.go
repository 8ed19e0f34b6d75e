package event

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// SecretPrefix begins webhook secrets, as Standard Webhooks has it.
const SecretPrefix = "whsec_"

// ErrSecret: it cannot sign.
var ErrSecret = errors.New(`a webhook secret is "whsec_" and at least 24 bytes in base64; make one with: farebox meter webhook secret`)

// NewSecret makes a secret of 32 random bytes.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return SecretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// ParseSecret reads a secret.
func ParseSecret(text string) ([]byte, error) {
	body, ok := strings.CutPrefix(text, SecretPrefix)
	key, err := base64.StdEncoding.DecodeString(body)
	if !ok || err != nil || len(key) < 24 {
		return nil, ErrSecret
	}
	return key, nil
}

// Sign is the header webhook-signature for a body: one signature per secret, so
// that a receiver can hold the old or the new one while they are exchanged.
// Source: github.com/standard-webhooks/standard-webhooks, specification.
func Sign(secrets [][]byte, id string, at time.Time, body []byte) string {
	var all []string
	for _, key := range secrets {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		h.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	return strings.Join(all, " ")
}
