package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// OutputLimit is how requests of an API bound their output.
type OutputLimit struct {
	fields     []string // all that are present count; without any, the first is added
	zeroIsNone bool     // some servers behind this API take 0 for no limit
	floor      int64    // lower values mean no limit (Ollama: 1)
	readOnly   bool     // never added to a request
}

// OutputLimit is the API's limit of the output.
func (a *API) OutputLimit() *OutputLimit { return &a.profile.limit }

// Exists reports whether a request may have a limit, so that it can be clamped.
func (l *OutputLimit) Exists() bool { return len(l.fields) > 0 && !l.readOnly }

// Members are the members of a request body that bound its output: those that are
// present, else the API's own. Dots lead into objects.
func (l *OutputLimit) Members(body []byte) (list []string) {
	for _, path := range l.fields {
		if isSet(gjson.GetBytes(body, path)) {
			list = append(list, path)
		}
	}
	if len(list) == 0 && l.Exists() {
		list = append(list, l.fields[0])
	}
	return list
}

// Alternative is the name to try after a server has refused one, or "".
func (l *OutputLimit) Alternative(refused string) string {
	if i := slices.Index(l.fields, refused); i >= 0 && i+1 < len(l.fields) && strings.Count(l.fields[i+1], ".") == strings.Count(refused, ".") {
		return l.fields[i+1]
	}
	return ""
}

// unlimited reports whether servers read a value as "no limit".
func (l *OutputLimit) unlimited(n int64) bool {
	return l.floor > 0 && n < l.floor || l.zeroIsNone && n == 0
}

// clamp lowers every limit that is present, or adds one: field, or the API's own.
func (l *OutputLimit) clamp(body []byte, limit int64, field string) ([]byte, error) {
	value := strconv.AppendInt(nil, limit, 10)
	present := false
	for _, path := range l.fields {
		v := gjson.GetBytes(body, path)
		if !isSet(v) {
			continue
		}
		present = true
		if n, ok := lenientNumber([]byte(v.Raw), 1); !ok || n < 0 || n > limit || l.unlimited(n) {
			body = replace(body, v, value)
		}
	}
	if present {
		return body, nil
	}
	if field == "" {
		field = l.fields[0]
	}
	body, err := set(body, field, value)
	if err != nil {
		return body, fmt.Errorf("clamping %s: %w", field, err)
	}
	return body, nil
}

// Edit is what to change in a request before it is sent.
type Edit struct {
	// RequestUsage asks for usage in a stream, if the API has a way to and the client did not.
	RequestUsage bool
	// MaxOutput, if positive, bounds the output: a larger or missing limit becomes this. A smaller one stays.
	MaxOutput int64
	// LimitField is where a missing limit goes, if not where the API's documentation has it; see OutputLimit.Alternative.
	LimitField string
}

var errNotObject = errors.New("request body is not a JSON object")

// Prepare edits a request body: members are added or replaced, all other bytes stay. Without anything to do it returns body
// itself. injected says that the usage chunk was asked for and has to be stripped again (ReaderOptions.StripInjectedUsage).
func (a *API) Prepare(body []byte, e Edit) (out []byte, injected bool, err error) {
	p := a.profile
	usage := e.RequestUsage && p.inject
	clamp := e.MaxOutput > 0 && p.limit.Exists()
	if !usage && !clamp {
		return body, false, nil
	}
	if !jsonscan.IsObject(body) || !jsonscan.Valid(body) {
		return body, false, errNotObject
	}
	out = body
	if clamp {
		if out, err = p.limit.clamp(out, e.MaxOutput, e.LimitField); err != nil {
			return body, false, err
		}
	}
	if usage && gjson.GetBytes(body, "stream").Type == gjson.True && !servedByMistral(gjson.GetBytes(body, "model").Str) {
		out, injected = askForUsage(out)
	}
	return out, injected, nil
}

// askForUsage sets stream_options.include_usage, also over an explicit false: without it a stream could not be billed. The
// client does not see the difference, because the chunk is stripped.
func askForUsage(body []byte) (out []byte, injected bool) {
	options := gjson.GetBytes(body, "stream_options")
	if options.Get("include_usage").Type == gjson.True || isSet(options) && !options.IsObject() { // the upstream will refuse the latter
		return body, false
	}
	out, err := set(body, "stream_options.include_usage", []byte("true"))
	return out, err == nil
}

// SetMember returns a JSON body with a member set to a raw value; all other bytes stay. Dots lead into objects, which are added if they
// are missing or null.
func SetMember(body []byte, path string, value []byte) ([]byte, error) {
	if !jsonscan.IsObject(body) || !jsonscan.Valid(body) {
		return body, errNotObject
	}
	return set(body, path, value)
}

// isSet reports whether a value is present and not null.
func isSet(v gjson.Result) bool { return v.Exists() && v.Type != gjson.Null }

// replace puts value where v was found in body.
func replace(body []byte, v gjson.Result, value []byte) []byte {
	return slices.Concat(body[:v.Index], value, body[v.Index+len(v.Raw):])
}

func set(body []byte, field string, value []byte) ([]byte, error) {
	if v := gjson.GetBytes(body, field); v.Exists() {
		return replace(body, v, value), nil
	}
	parent, name, nested := strings.Cut(field, ".")
	if !nested {
		return addMember(body, bytes.LastIndexByte(body, '}'), field, value), nil
	}
	v := gjson.GetBytes(body, parent)
	switch {
	case v.IsObject():
		return addMember(body, v.Index+len(v.Raw)-1, name, value), nil
	case isSet(v):
		return body, fmt.Errorf("%s is not an object", parent)
	}
	return set(body, parent, slices.Concat([]byte(`{"`), []byte(name), []byte(`":`), value, []byte(`}`)))
}

// addMember adds a member to the object whose closing brace is at end.
func addMember(body []byte, end int, name string, value []byte) []byte {
	comma := ","
	if before := bytes.TrimRight(body[:end], " \t\r\n"); before[len(before)-1] == '{' {
		comma = ""
	}
	return slices.Concat(body[:end], []byte(comma), []byte(`"`), []byte(name), []byte(`":`), value, body[end:])
}
