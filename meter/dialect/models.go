package dialect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// Runs is what a request says about further models that it may run.
type Runs struct {
	Models []string // each once
	// Chooser is the member that lets the upstream choose a model, "" if there is no such member.
	Chooser string
	// Reject is "" or the reason to refuse the request with 400; Field is the member, Message says what to send instead.
	Reject, Field, Message string
}

// maxModels bounds how many models one request may name; each is priced, and looked at by rules.
const maxModels = 1000

// modelCollector collects the models of one request.
type modelCollector struct {
	Runs
	seen map[string]struct{}
}

// Runs finds the models that a body names: OpenRouter's models, preset, plugins
// and server tools, the fallbacks of OpenRouter, LiteLLM and Anthropic, tools that run a model (Anthropic's advisor), and the
// requests of a batch. It reads the members of all such APIs, because the path does not tell which one is behind it.
func (a *API) Runs(b Body) Runs {
	var r *modelCollector
	for i := range b.members {
		name := runName(b.members[i].key)
		if name == "" {
			continue
		}
		if r == nil {
			r = &modelCollector{seen: map[string]struct{}{}}
		}
		if r.member(name, b.members[i].value); r.Reject != "" {
			break
		}
	}
	if r == nil {
		return Runs{}
	}
	return r.Runs
}

// runNames are the members that name models.
var runNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		"models", "fallbacks", "fallback_models", "context_window_fallbacks", "content_policy_fallbacks", "preset", "plugins", "tools", "requests",
	} {
		names[name] = name
	}
	return names
}()

// runName is the one of runNames that a key is, in any case: some servers read it so.
func runName(key []byte) string {
	var room [64]byte
	if lower, ok := lowerASCII(room[:0], key); ok {
		return runNames[string(lower)]
	}
	return runNames[strings.ToLower(string(key))]
}

func (r *modelCollector) member(name string, value []byte) {
	switch name {
	case "preset":
		if len(jsonscan.Content(value)) > 0 {
			r.Chooser = "body.preset"
		}
	case "plugins", "tools":
		r.helpers("body."+name, gjson.ParseBytes(value))
	case "requests":
		r.batch(gjson.ParseBytes(value))
	default:
		r.names(name, gjson.ParseBytes(value))
	}
}

// batch notes the models of the requests in a batch.
func (r *modelCollector) batch(requests gjson.Result) {
	requests.ForEach(func(_, one gjson.Result) bool {
		r.name("requests", one.Get("params.model"))
		r.helpers("body.requests", one.Get("params.tools"))
		r.names("requests", one.Get("params.fallbacks"))
		return r.Reject == ""
	})
}

// names notes all names in a list, in its objects ({"model": "x"}) or in their lists ({"x": ["y"]}).
func (r *modelCollector) names(field string, v gjson.Result) {
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

func (r *modelCollector) name(field string, v gjson.Result) {
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
func (r *modelCollector) helpers(field string, list gjson.Result) {
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

// Providers keep adding tools. A tool that is not listed here may run at the provider, search the web, and add input that the
// request does not show.

// clientTools are run by the client. A type with a date behind it (bash_20250124) is the same tool.
var clientTools = []string{
	"function", "custom", "computer", "local_shell", "shell", "apply_patch", "bash", "text_editor", "memory",
	"functionDeclarations", "function_declarations",
}

// hostedTools run at the provider and never search the web. Of these, quietTools add no input either.
var (
	hostedTools = []string{
		"file_search", "fileSearch", "code_interpreter", "code_execution", "codeExecution", "mcp", "web_fetch", "url_context", "urlContext",
	}
	quietTools = []string{"image_generation"}
)

// hosted reports whether a tool of this name runs at the provider and may add input.
func hosted(name string) bool { return !oneOf(clientTools, name) && !oneOf(quietTools, name) }

// maySearch reports whether a tool of this name may search the web.
func maySearch(name string) bool { return hosted(name) && !oneOf(hostedTools, name) }

// oneOf reports whether name is one of the list, or a dated or longer form of it.
func oneOf(list []string, name string) bool {
	return slices.ContainsFunc(list, func(known string) bool {
		rest, ok := strings.CutPrefix(name, known)
		return ok && (rest == "" || rest[0] == '_' || known == "computer" && rest == "Use")
	})
}

// anyTool reports whether holds is true for the name of one of the tools: its type or, without a type, as Gemini has it, each of its
// members. A tool that has a name of its own is declared by the client.
func anyTool(tools gjson.Result, holds func(name string) bool) (found bool) {
	if tools.IsObject() { // some servers take one tool for a list of it
		return holdsFor(tools, holds)
	}
	tools.ForEach(func(_, t gjson.Result) bool {
		found = t.IsObject() && holdsFor(t, holds)
		return !found
	})
	return found
}

func holdsFor(tool gjson.Result, holds func(name string) bool) (found bool) {
	if kind := tool.Get("type"); kind.Type == gjson.String && kind.Str != "" {
		return holds(kind.Str)
	}
	if tool.Get("name").Exists() || tool.Get("function").Exists() {
		return false
	}
	tool.ForEach(func(key, _ gjson.Result) bool {
		found = holds(key.Str)
		return !found
	})
	return found
}
