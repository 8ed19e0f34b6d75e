package dialect

import (
	"testing"

	"github.com/tidwall/gjson"
)

// A request is bounded by no search only if none of its tools can search and none
// can come from elsewhere; -1 is no bound.
func TestSearchesThatMayRunAreNotBoundedByNone(t *testing.T) {
	const responses, gemini, batch = "/v1/responses", "/v1beta/models/m:generateContent", "/v1/messages/batches"
	for _, c := range []struct {
		path, body string
		most       int64
	}{
		{responses, `{"input":"x"}`, 0},
		{responses, `{"tools":[{"type":"function","name":"web_search"},{"type":"file_search"},{"type":"image_generation"},{"type":"computer_use_preview"}]}`, 0},
		{responses, `{"prompt":{"id":"p"}}`, -1},
		{responses, `{"prompt":{"id":"p"},"max_tool_calls":2}`, 2},
		{responses, `{"tools":[{"type":"a_tool_of_tomorrow"}]}`, -1},
		{gemini, `{"tools":[{"functionDeclarations":[]},{"codeExecution":{}},{"urlContext":{}},{"computerUse":{}}]}`, 0},
		{gemini, `{"cachedContent":"c"}`, -1},
		{gemini, `{"tools":[{"functionDeclarations":[],"googleSearchRetrieval":{}}]}`, -1},
		{batch, `{"requests":[{"params":{}}]}`, 0},
		{batch, `{"requests":[{"params":{"tools":[{"type":"web_search_20250305","max_uses":2}]}},{"params":{"tools":[{"type":"web_search_20250305","max_uses":3}]}}]}`, 5},
		{batch, `{"requests":[{"params":{"tools":[{"type":"web_search_20250305","max_uses":2}]}},{"params":{"tools":[{"type":"web_search_20250305"}]}}]}`, -1},
	} {
		api := Detect("POST", c.path, "")
		most := int64(-1)
		for _, ask := range api.Asks(JSONBody([]byte(c.body))) {
			if ask.Unit == "web_search" {
				most = ask.Most
			}
		}
		if most != c.most {
			t.Errorf("%s %s: at most %d searches, want %d", c.path, c.body, most, c.most)
		}
	}
}

// Tools that run at the provider bring input; those of the client do not.
func TestHostedToolsBringInput(t *testing.T) {
	for tools, want := range map[string]bool{
		`[]`:                                         false,
		`[{"type":"function","function":{}}]`:        false,
		`[{"name":"f","input_schema":{}}]`:           false,
		`[{"type":"bash_20250124","name":"bash"}]`:   false,
		`[{"type":"image_generation"}]`:              false,
		`[{"functionDeclarations":[]}]`:              false,
		`[{"url_context":{}}]`:                       true,
		`[{"google_search_retrieval":{}}]`:           true,
		`{"googleSearch":{}}`:                        true,
		`[{"type":"mcp"}]`:                           true,
		`[{"type":"web_fetch_20250910","name":"w"}]`: true,
	} {
		if got := anyTool(gjson.Parse(tools), hosted); got != want {
			t.Errorf("%s: %v, want %v", tools, got, want)
		}
	}
}
