package dialect

import "strings"

// Replicate and fal run jobs: the create call answers at once or, on request, with the result.

var replicateJob = jobSpec{
	id: "id", status: "status",
	pending:  []string{"starting", "processing", "queued"},
	finished: []string{"succeeded"},
	failed:   []string{"failed", "canceled", "aborted"},
}

var replicateParts = []fixedCount{
	{`"predict_time"`, "metrics.predict_time", cMillis},
	{`"output"`, "output.#", cImages},
}

var replicate = profile{
	name: "replicate", family: FamilyPlain, provider: "replicate",
	match: func(method, path string) (matched, bool) {
		m, ok := replicatePath(path)
		return m, ok && method == "POST"
	},
	models: []string{"version", "model"},
	fixed:  replicateParts, job: &replicateJob, noUsage: true,
}

var replicatePoll = profile{
	name: "replicate-poll", family: FamilyPlain, provider: "replicate",
	match: getItem("/v1/predictions"),
	fixed: replicateParts, job: &replicateJob, noUsage: true,
}

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

var falJob = jobSpec{
	id: "request_id", status: "status",
	pending:  []string{"IN_QUEUE", "IN_PROGRESS"},
	finished: []string{"COMPLETED", "OK"},
	failed:   []string{"ERROR", "FAILED"},
}

var falParts = []fixedCount{{`"images"`, "images.#", cImages}}

var fal = profile{
	name: "fal", family: FamilyPlain, provider: "fal",
	match: func(method, path string) (matched, bool) {
		return matched{model: strings.Trim(path, "/")}, method == "POST" && strings.Contains(path, "/fal-ai/")
	},
	fixed: falParts, job: &falJob, noUsage: true,
}

// falPoll is the state or the result of a queued request: …/{app}/requests/{id}[/status].
var falPoll = profile{
	name: "fal-poll", family: FamilyPlain, provider: "fal",
	match: func(method, path string) (matched, bool) {
		i := strings.Index(path, "/fal-ai/")
		rest, ok := after(path, "/requests/")
		return matched{}, ok && i >= 0 && method == "GET" && rest != ""
	},
	fixed: falParts, job: &falJob, noUsage: true,
}
