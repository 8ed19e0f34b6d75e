package openapi

import "strings"

// actions are last words of paths that say what is done, instead of what there is.
var actions = map[string]bool{
	"check": true, "close": true, "compact": true, "confirm": true, "diff": true, "enable": true, "erase": true, "estimate": true, "explain": true,
	"follow": true, "import": true, "redeliver": true, "refund": true, "reload": true, "renew": true, "replay": true, "restore": true, "rotate": true,
	"test": true, "verify": true, "void": true,
}

// operationID names an endpoint as a function of a client would be named: listCharges,
// getCharge, adminVoidAccountGrant.
func operationID(pattern string) string {
	method, path, _ := strings.Cut(pattern, " ")
	words := strings.Split(strings.Trim(path, "/"), "/")
	prefix := ""
	var nouns []string
	for i, w := range words {
		switch {
		case w == "v1":
		case w == "admin" && i == 0:
			prefix = w
		case strings.HasPrefix(w, "{") && len(nouns) > 0:
			nouns[len(nouns)-1] = singular(nouns[len(nouns)-1])
		default:
			nouns = append(nouns, w)
		}
	}
	last := nouns[len(nouns)-1]
	verb := map[string]string{"GET": "get", "POST": "create", "PUT": "set", "PATCH": "update", "DELETE": "delete"}[method]
	switch {
	case actions[last]:
		verb, nouns = last, nouns[:len(nouns)-1]
	case method == "GET" && (strings.HasSuffix(last, "s") && last != "alerts" || last == "history") && !strings.HasSuffix(path, "}"):
		verb = "list"
	case method == "POST":
		nouns[len(nouns)-1] = singular(last)
	}
	return camel(prefix, verb, nouns)
}

func singular(noun string) string {
	if stem, ok := strings.CutSuffix(noun, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(noun, "s")
}

// camel joins words, which may have hyphens: portal-session is PortalSession.
func camel(prefix, verb string, nouns []string) string {
	var b strings.Builder
	for _, w := range strings.Split(strings.Join(append([]string{prefix, verb}, nouns...), "-"), "-") {
		if w != "" && b.Len() > 0 {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		b.WriteString(w)
	}
	return b.String()
}
