package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// Edit is what to change in a request before it is sent.
type Edit struct {
	// RequestUsage asks for usage in a stream, if the API has a way to and the client did not.
	RequestUsage bool
	// MaxOutput, if positive, bounds the output: a larger or missing limit becomes this. A smaller one stays.
	MaxOutput int64
	// LimitField is where a missing limit goes, if not where the API's documentation has it; see OtherLimit.
	LimitField string
}

var errNotObject = errors.New("request body is not a JSON object")

// Prepare edits a request body as little as possible: members are spliced in or replaced, all other bytes stay. Without
// anything to do it returns body itself. injected says that the usage chunk was asked for and has to be stripped again
// (ReaderOptions.StripInjectedUsage).
func (a *API) Prepare(body []byte, e Edit) (out []byte, injected bool, err error) {
	p := a.profile
	usage := e.RequestUsage && p.inject
	clamp := e.MaxOutput > 0 && p.limitField != ""
	if !usage && !clamp {
		return body, false, nil
	}
	if !jsonscan.Valid(body) || !gjson.ParseBytes(body).IsObject() {
		return body, false, errNotObject
	}
	out = body
	if clamp {
		if out, err = p.clamp(out, e.MaxOutput, e.LimitField); err != nil {
			return body, false, err
		}
	}
	if usage && gjson.GetBytes(body, "stream").Type == gjson.True && !servedByMistral(gjson.GetBytes(body, "model").Str) {
		if out, injected, err = askForUsage(out); err != nil {
			return body, false, err
		}
	}
	return out, injected, nil
}

// OutputLimits are the members of a request body that bound its output: those
// that are there, else the API's own. Dots lead into objects.
func (a *API) OutputLimits(body []byte) []string {
	var list []string
	for _, path := range a.profile.limits {
		if v := gjson.GetBytes(body, path); v.Exists() && v.Type != gjson.Null {
			list = append(list, path)
		}
	}
	if len(list) == 0 && a.profile.limitField != "" {
		list = append(list, a.profile.limitField)
	}
	return list
}

// OtherLimit is another name of the API's output limit, for servers that refuse
// the one before; "" if there is none.
func (a *API) OtherLimit(refused string) string {
	list := a.profile.limits
	if i := slices.Index(list, refused); i >= 0 && i+1 < len(list) && strings.Count(list[i+1], ".") == strings.Count(refused, ".") {
		return list[i+1]
	}
	return ""
}

// clamp lowers every limit that is present, or adds the API's own.
func (p *profile) clamp(body []byte, limit int64, field string) ([]byte, error) {
	if field == "" {
		field = p.limitField
	}
	value := []byte(strconv.FormatInt(limit, 10))
	present := false
	for _, path := range p.limits {
		v := gjson.GetBytes(body, path)
		if !v.Exists() || v.Type == gjson.Null {
			continue
		}
		n, ok := looseNumber([]byte(v.Raw), 1)
		if ok && (n < p.limitFloor || n == 0 && p.zeroIsNone) {
			ok = false // "unlimited"
		}
		present = true
		if ok && n <= limit {
			continue
		}
		var err error
		if body, err = sjson.SetRawBytes(bytes.Clone(body), path, value); err != nil {
			return body, fmt.Errorf("clamping %s: %w", path, err)
		}
	}
	if present {
		return body, nil
	}
	if !strings.Contains(field, ".") && !gjson.GetBytes(body, field).Exists() {
		return splice(body, field, value), nil
	}
	parent, name, deep := strings.Cut(field, ".")
	if v := gjson.GetBytes(body, parent); deep && v.Exists() && !v.IsObject() && v.Type != gjson.Null {
		return body, fmt.Errorf("clamping %s: %s is not an object", field, parent)
	}
	if deep && !gjson.GetBytes(body, parent).IsObject() {
		nested := append(append(append([]byte(`{"`), name...), `":`...), value...)
		if nested = append(nested, '}'); !gjson.GetBytes(body, parent).Exists() {
			return splice(body, parent, nested), nil
		}
		return sjson.SetRawBytes(bytes.Clone(body), parent, nested)
	}
	return sjson.SetRawBytes(bytes.Clone(body), field, value)
}

// askForUsage sets stream_options.include_usage, also over an explicit false: without it a stream could not be billed. The
// client does not see the difference, because the chunk is stripped.
func askForUsage(body []byte) (out []byte, injected bool, err error) {
	options := gjson.GetBytes(body, "stream_options")
	switch {
	case options.Get("include_usage").Type == gjson.True:
		return body, false, nil
	case !options.Exists():
		return splice(body, "stream_options", []byte(`{"include_usage":true}`)), true, nil
	case options.Type == gjson.Null:
		out, err = sjson.SetRawBytes(bytes.Clone(body), "stream_options", []byte(`{"include_usage":true}`))
	case options.IsObject():
		out, err = sjson.SetRawBytes(bytes.Clone(body), "stream_options.include_usage", []byte("true"))
	default:
		return body, false, nil // the upstream will refuse it
	}
	return out, err == nil, err
}

// splice adds a member before the closing brace of the object.
func splice(body []byte, name string, value []byte) []byte {
	end := bytes.LastIndexByte(body, '}')
	out := make([]byte, 0, len(body)+len(name)+len(value)+4)
	out = append(out, body[:end]...)
	if last := bytes.TrimRight(out, " \t\r\n"); last[len(last)-1] != '{' {
		out = append(out, ',')
	}
	out = append(append(append(append(out, '"'), name...), `":`...), value...)
	return append(out, body[end:]...)
}

// servedByMistral recognises the names of Mistral's own API, which answers 422 to stream_options and sends usage anyway. Other
// hosts of these models use names with an organisation ("mistralai/…") or without a suffix.
func servedByMistral(model string) bool {
	for _, prefix := range []string{"mistral-", "open-mistral-", "open-mixtral-", "codestral-", "ministral-", "magistral-", "devstral-", "pixtral-", "voxtral-"} {
		if strings.HasPrefix(model, prefix) {
			return true
		}
	}
	return false
}
