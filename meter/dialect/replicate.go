package dialect

import (
	"strings"
)

// Replicate and fal run jobs: the create call answers at once or, on request, with the result.

var replicateJob = Jobs{
	id: "id", status: "status",
	pending:  []string{"starting", "processing", "queued"},
	finished: []string{"succeeded"},
	failed:   []string{"failed", "canceled", "aborted"},
	poll: func(create, id string) string {
		head, _, ok := strings.Cut(create, "/v1/")
		if !ok || strings.Contains(id, "/") {
			return ""
		}
		return head + "/v1/predictions/" + id
	},
}

var replicateParts = []countedField{
	{`"predict_time"`, "metrics.predict_time", cMillis},
	{`"output"`, `output.#(%"http*")#|#`, cImages}, // of a language model it is a list of words
}

// Language models count tokens among their metrics.
var (
	replicateTokens = []place{{path: "metrics", mark: `"input_token_count"`}}
	replicateFields = []field{{"input_token_count", cInput}, {"output_token_count", cOutput}}
)

var replicate = profile{
	name: "replicate", family: FamilyPlain, provider: "replicate",
	match: func(method, path string) (matched, bool) {
		m, ok := replicatePath(path)
		return m, ok && method == "POST"
	},
	models: []string{"version", "model"},
	usage:  replicateTokens, fields: replicateFields,
	fixed: replicateParts, job: &replicateJob, noUsage: true, asks: (*demand).anything,
}

var replicatePoll = replicate.poll(getItem("/v1/predictions"))

// replicatePath matches /v1/predictions and /v1/{models,deployments}/{owner}/{name}/predictions.
func replicatePath(path string) (matched, bool) {
	head, ok := strings.CutSuffix(path, "/predictions")
	if !ok {
		return matched{}, false
	}
	for _, mark := range []string{"/v1/models/", "/v1/deployments/"} {
		if model, ok := after(head, mark); ok && strings.Count(model, "/") == 1 {
			return matched{model: model}, true
		}
	}
	return matched{}, strings.HasSuffix(head, "/v1")
}

var falJob = Jobs{
	id: "request_id", status: "status",
	pending:  []string{"IN_QUEUE", "IN_PROGRESS"},
	finished: []string{"COMPLETED", "OK"},
	failed:   []string{"ERROR", "FAILED"},
	poll: func(create, id string) string { // of the app, whatever part of it was asked
		i := strings.Index(create, "/fal-ai/")
		if i < 0 {
			return create + "/requests/" + id + "/status"
		}
		app, _, _ := strings.Cut(create[i+len("/fal-ai/"):], "/")
		return create[:i] + "/fal-ai/" + app + "/requests/" + id + "/status"
	},
}

var falParts = []countedField{{`"images"`, "images.#", cImages}}

var fal = profile{
	name: "fal", family: FamilyPlain, provider: "fal",
	match: func(method, path string) (matched, bool) {
		return matched{model: strings.Trim(path, "/")}, method == "POST" && strings.Contains(path, "/fal-ai/")
	},
	fixed: falParts, job: &falJob, noUsage: true, asks: (*demand).anything,
}

// falPoll is the state or the result of a queued request: …/{app}/requests/{id}[/status].
var falPoll = fal.poll(func(method, path string) (matched, bool) {
	i := strings.Index(path, "/fal-ai/")
	rest, ok := after(path, "/requests/")
	return matched{}, ok && i >= 0 && method == "GET" && rest != ""
})
