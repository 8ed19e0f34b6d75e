package dialect

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Providers add tools of their own faster than lists of them grow. So a tool counts as harmless only if it is known: what is not
// listed here may run at the provider, search the web, and bring input that the request does not show.

// clientTools are run by the client. A type with a date behind it (bash_20250124) is the same tool.
var clientTools = []string{
	"function", "custom", "computer", "local_shell", "shell", "apply_patch", "bash", "text_editor", "memory",
	"functionDeclarations", "function_declarations",
}

// hostedTools run at the provider and never search the web. Of these, quietTools bring no input either.
var (
	hostedTools = []string{
		"file_search", "fileSearch", "code_interpreter", "code_execution", "codeExecution", "mcp", "web_fetch", "url_context", "urlContext",
	}
	quietTools = []string{"image_generation"}
)

// hosted reports whether a tool of this name runs at the provider and may bring input.
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

// anyTool reports whether what holds for the name of one of the tools: its type or, without a type, as Gemini has it, each of its
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
