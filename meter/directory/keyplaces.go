package directory

import (
	"net/url"
	"strings"
)

// keyPlace is one place of a request where the providers' SDKs put an API key.
// What reads keys, what takes them out before a request goes upstream and what
// keeps a request in the store all go through keyPlaces, so that no place is
// known to one of them alone. Headers have canonical names.
type keyPlace struct {
	// read is the first Farebox key of those that it finds and best, else the last
	// other key.
	read func(best string, header map[string][]string, query string) string
	// strip deletes the key from the header, or returns the query without it.
	strip func(header map[string][]string, query string) string
}

var keyPlaces = []keyPlace{
	headerPlace("Authorization", bearer),
	headerPlace("X-Api-Key", whole),
	headerPlace("X-Goog-Api-Key", whole),
	headerPlace("Api-Key", whole),
	{protocolKeys, stripProtocols},
	{parameterKeys, stripParameters},
}

// SecretOf is the Farebox key of a request, or else another key that is sent where one is expected; "" if
// there is none. query is the raw query.
func SecretOf(header map[string][]string, query string) string {
	best := ""
	for i := range keyPlaces {
		best = keyPlaces[i].read(best, header, query)
	}
	return best
}

// better is the key to use of two.
func better(best, found string) string {
	if found == "" || strings.HasPrefix(best, KeyPrefix) {
		return best
	}
	return found
}

// StripKeys takes API keys out of header and returns the raw query without them.
func StripKeys(header map[string][]string, query string) string {
	for _, p := range keyPlaces {
		query = p.strip(header, query)
	}
	return query
}

func headerPlace(name string, value func(string) string) keyPlace {
	return keyPlace{
		read: func(best string, header map[string][]string, _ string) string {
			for _, v := range header[name] {
				best = better(best, value(v))
			}
			return best
		},
		strip: func(header map[string][]string, query string) string {
			delete(header, name)
			return query
		},
	}
}

func whole(v string) string { return v }

func bearer(v string) string {
	scheme, token, ok := strings.Cut(v, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Browsers can't set headers on a WebSocket, so OpenAI's client sends its key as
// a subprotocol.
const (
	keyProtocol    = "openai-insecure-api-key."
	protocolHeader = "Sec-Websocket-Protocol"
)

func protocolKeys(best string, header map[string][]string, _ string) string {
	for _, p := range protocols(header) {
		if key, ok := strings.CutPrefix(p, keyProtocol); ok {
			best = better(best, key)
		}
	}
	return best
}

func stripProtocols(header map[string][]string, query string) string {
	all := protocols(header)
	var kept []string
	for _, p := range all {
		if !strings.HasPrefix(p, keyProtocol) {
			kept = append(kept, p)
		}
	}
	switch len(kept) {
	case len(all):
	case 0:
		delete(header, protocolHeader)
	default:
		header[protocolHeader] = []string{strings.Join(kept, ", ")}
	}
	return query
}

func protocols(header map[string][]string) (list []string) {
	for _, line := range header[protocolHeader] {
		for p := range strings.SplitSeq(line, ",") {
			list = append(list, strings.TrimSpace(p))
		}
	}
	return list
}

// keyParameter is where Gemini's clients put the key in a query.
const keyParameter = "key"

// parameterKey reads a query parameter that is the key, however its name is
// written. A value that can't be decoded is one all the same: what upstreams
// make of it is not known.
func parameterKey(part string) (key string, ok bool) {
	name, value, _ := strings.Cut(part, "=")
	decoded, err := url.QueryUnescape(name)
	if decoded != keyParameter && (err == nil || !strings.Contains(part, KeyPrefix)) {
		return "", false
	}
	if key, err = url.QueryUnescape(value); err != nil {
		key = value
	}
	return key, true
}

func parameterKeys(best string, _ map[string][]string, query string) string {
	for part := range strings.SplitSeq(query, "&") {
		if key, ok := parameterKey(part); ok {
			best = better(best, key)
		}
	}
	return best
}

func stripParameters(_ map[string][]string, query string) string {
	if query == "" {
		return ""
	}
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		if _, ok := parameterKey(part); !ok {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "&")
}

// StripURI returns a request URI without API keys.
func StripURI(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	if query = stripParameters(nil, query); query == "" {
		return path
	}
	return path + "?" + query
}
