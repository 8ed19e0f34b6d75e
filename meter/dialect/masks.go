package dialect

import (
	"net/url"
	"strings"
)

// DropsUsage is the option of a request by which its answer would come without what it used, "" if there is none: Google's APIs
// cut fields out of answers (?fields=, X-Goog-FieldMask) and send them in other formats (?alt=). uri is the target as sent.
// Source: cloud.google.com/apis/docs/system-parameters.
func (a *API) DropsUsage(uri string, header map[string][]string) (field string) {
	if a.Family != FamilyGemini {
		return ""
	}
	if headerValue(header, "X-Goog-Fieldmask") != "" {
		return "header.X-Goog-FieldMask"
	}
	_, query, _ := strings.Cut(uri, "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, text, _ := strings.Cut(pair, "=")
		key, errKey := url.QueryUnescape(key)
		text, errText := url.QueryUnescape(text)
		switch name := strings.ToLower(strings.TrimPrefix(key, "$")); {
		case errKey != nil || errText != nil:
			return "query"
		case name == "fields":
			return "query." + name
		case name == "alt" && text != "" && !strings.EqualFold(text, "json") && !strings.EqualFold(text, "sse"):
			return "query." + name
		}
	}
	return ""
}
