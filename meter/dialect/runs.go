package dialect

import (
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// Runs is what a request says about the models that it may run, beside the one
// that it names as its model.
type Runs struct {
	Models []string // each once
	// Chooser is the member by which somebody else chooses a model, "" if none.
	Chooser string
	// Reject is "" or the reason to refuse the request with 400; Field is the member, Message says what to send instead.
	Reject, Field, Message string
}

// maxModels bounds how many models one request may name; each is priced, and looked at by rules.
const maxModels = 1000

// running collects the models of one request.
type running struct {
	Runs
	seen map[string]struct{}
}

// Runs finds all that a body says about models, whichever API of this shape is behind it: OpenRouter's models, preset, plugins
// and server tools, the fallbacks of OpenRouter, LiteLLM and Anthropic, tools that run a model (Anthropic's advisor), and the
// requests of a batch. Names that others than the API at hand know are read, too: which one it is can't be seen.
func (a *API) Runs(b Body) Runs {
	r := &running{seen: map[string]struct{}{}}
	for key, value := range jsonscan.Members(b.doc) {
		switch name := strings.ToLower(jsonscan.Unescape(key)); name { // in any case: some servers read it so
		case "models", "fallbacks", "fallback_models", "context_window_fallbacks", "content_policy_fallbacks":
			r.names(name, gjson.ParseBytes(value))
		case "preset":
			if len(jsonscan.Content(value)) > 0 {
				r.Chooser = "body.preset"
			}
		case "plugins", "tools":
			r.helpers("body."+name, gjson.ParseBytes(value))
		case "requests":
			r.batch(gjson.ParseBytes(value))
		}
		if r.Reject != "" {
			break
		}
	}
	return r.Runs
}

// batch notes the models of the requests in a batch.
func (r *running) batch(requests gjson.Result) {
	requests.ForEach(func(_, one gjson.Result) bool {
		r.name("requests", one.Get("params.model"))
		r.helpers("body.requests", one.Get("params.tools"))
		r.names("requests", one.Get("params.fallbacks"))
		return r.Reject == ""
	})
}

// names notes all names in a list, in its objects ({"model": "x"}) or in their lists ({"x": ["y"]}).
func (r *running) names(field string, v gjson.Result) {
	if !v.IsArray() && !v.IsObject() {
		r.name(field, v)
		return
	}
	v.ForEach(func(key, one gjson.Result) bool {
		if !v.IsObject() || key.Str == "model" || one.IsArray() {
			r.names(field, one)
		}
		return r.Reject == ""
	})
}

func (r *running) name(field string, v gjson.Result) {
	if v.Type != gjson.String || v.Str == "" {
		return
	}
	if _, known := r.seen[v.Str]; known {
		return
	}
	if len(r.Models) == maxModels {
		r.Reject, r.Field = RejectTooLarge, field
		r.Message = fmt.Sprintf("The request names more than %d models; send it in parts.", maxModels)
		return
	}
	r.seen[v.Str] = struct{}{}
	r.Models = append(r.Models, v.Str)
}

// panels are plugins and tools of OpenRouter that run further models, which the usage of the answer does not tell apart.
var panels = []string{"fusion", "openrouter:fusion", "openrouter:advisor", "openrouter:subagent"}

// helpers notes the models that plugins or tools run. A tool that makes pictures is charged by what it reports.
func (r *running) helpers(field string, list gjson.Result) {
	list.ForEach(func(_, one gjson.Result) bool {
		kind := one.Get("type").Str
		if id := one.Get("id").Str; kind == "" {
			kind = id
		}
		if kind == "function" || kind == "custom" || kind == "image_generation" {
			return true
		}
		for _, panel := range panels {
			if strings.EqualFold(kind, panel) {
				r.Chooser = field
			}
		}
		for _, name := range []string{"model", "models", "analysis_models", "parameters.model", "parameters.models", "parameters.analysis_models"} {
			r.names(strings.TrimPrefix(field, "body."), one.Get(name))
		}
		return r.Reject == ""
	})
}
