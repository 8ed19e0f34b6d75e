// Package secrets keeps keys out of logs, however logging is configured. Caddy logs
// the headers and the URI of a request with every access and every error, and those
// of the request to the upstream when its answer breaks off. It hides Authorization
// and cookies; it knows nothing of x-api-key, of a key in the query, or of a link that
// lets someone in.
package secrets

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// hidden replaces a secret in a log.
const hidden = "REDACTED"

// made are the secrets that Farebox makes. They are hidden in every field.
var made = regexp.MustCompile(`fb_(live|op|link|sess)_[A-Za-z0-9_-]+`)

// hideText replaces what Farebox makes in a text.
func hideText(text string) string {
	if !strings.Contains(text, "fb_") {
		return text
	}
	return made.ReplaceAllString(text, hidden)
}

// hideHeader is a header without secrets. The given one stays as it is.
func hideHeader(h http.Header) http.Header {
	out := maps.Clone(h)
	for name, values := range out {
		kept := make([]string, len(values))
		for i, v := range values {
			switch {
			case secretHeader(name):
				kept[i] = hidden
			case strings.ContainsAny(v, "?"):
				kept[i] = hideURI(v)
			default:
				kept[i] = hideText(v)
			}
		}
		out[name] = kept
	}
	return out
}

// harmless are headers whose names look like those of secrets.
var harmless = map[string]bool{
	"Idempotency-Key": true, "Sec-Websocket-Key": true, "Sec-Websocket-Accept": true, "X-Ratelimit-Limit-Tokens": true, "Access-Control-Allow-Credentials": true,
}

// secretHeader reports whether a header holds a secret. Authorization and cookies are
// hidden even with log_credentials.
func secretHeader(name string) bool {
	if name == "Sec-Websocket-Protocol" { // browsers send keys as a subprotocol
		return true
	}
	return !harmless[name] && secretName(name)
}

// parts of the names of headers and parameters that hold secrets.
var parts = []string{"key", "token", "secret", "auth", "password", "credential", "cookie", "signature", "session", "jwt"}

// secretName reports whether something of this name is taken to hold a secret. A
// harmless value that is missing in a log costs less than a key in it.
func secretName(name string) bool {
	lower := strings.ToLower(name)
	if strings.Contains(lower, "tokens") || strings.Contains(lower, "authority") { // numbers of AI tokens; a host
		return false
	}
	for _, p := range parts {
		if strings.Contains(lower, p) {
			return true
		}
	}
	return false
}

// hideURI replaces the values of parameters that hold secrets. What can't be decoded
// is hidden, too: servers differ in what they make of it.
func hideURI(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	path = hideText(path)
	if !ok {
		return path
	}
	params := strings.Split(query, "&")
	for i, p := range params {
		name, value, given := strings.Cut(p, "=")
		decoded, err := url.QueryUnescape(name)
		if given && value != "" && (err != nil || secretName(decoded)) {
			params[i] = name + "=" + hidden
		} else {
			params[i] = hideText(p)
		}
	}
	return path + "?" + strings.Join(params, "&")
}
