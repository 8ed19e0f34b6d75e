package dialect

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
	"github.com/farebox-dev/farebox/meter/dialect/resource"
)

// Jobs is how an API reports the state of asynchronous work. nil is an API without.
type Jobs struct {
	id       string // member with the job's id
	status   string
	pending  []string
	finished []string
	failed   []string
	flag     string // a member that is true when the job is over (Google's operations)

	// poll is the path of the job's state, if that is not the path of its creation with the id behind it.
	poll func(create, id string) string
	// results is the path of what the job made, where only that says what it used.
	results func(poll string, body []byte) string
}

// Jobs is nil if answers of the API do not report jobs.
func (a *API) Jobs() *Jobs { return a.profile.job }

// PollPath is where the state of a job can be asked for with GET: create is the clean path of the request that started it. It is
// "" if there is no such path.
func (j *Jobs) PollPath(create, id string) string {
	if j == nil || id == "" || strings.ContainsAny(id, "?#%\\ ") || strings.Contains(id, "..") {
		return ""
	}
	if j.poll != nil {
		return j.poll(create, id)
	}
	if strings.Contains(id, "/") {
		return ""
	}
	return create + "/" + id
}

// ResultsPath is where to read what a job has used, "" if its state says it. poll is the path of the state, body its answer.
func (j *Jobs) ResultsPath(poll string, body []byte) string {
	if j == nil || j.results == nil {
		return ""
	}
	return j.results(poll, body)
}

// words by which most APIs say that a job is over, in small letters.
var overWords = []string{
	"completed", "complete", "succeeded", "success", "successful", "finished", "done", "ready", "ok", "ended",
	"failed", "failure", "error", "errored", "canceled", "cancelled", "aborted", "expired", "rejected", "timeout", "timed_out", "nsfw",
}

// JobOver says whether an answer of an unknown API says that a job is over, well or not.
func JobOver(body []byte) bool {
	for _, name := range []string{"status", "state", "job_status", "task_status", "data.status", "data.task_status", "output.task_status"} {
		if v := jsonscan.Content(jsonscan.Get(body, name)); len(v) > 0 {
			return slices.Contains(overWords, strings.ToLower(string(v)))
		}
	}
	return string(jsonscan.Get(body, "done")) == "true"
}

func (r *Reader) readJob(j *Jobs, data []byte) {
	if r.status >= 400 {
		return
	}
	if r.format != frame.JSON {
		return // streams have their own events
	}
	if id := jsonscan.Content(jsonscan.Get(data, j.id)); len(id) > 0 {
		r.jobID = string(id)
	}
	if j.flag != "" {
		if string(jsonscan.Get(data, j.flag)) == "true" {
			r.finish, r.over = true, true
		} else {
			r.pending = r.jobID != ""
		}
		return
	}
	status := string(jsonscan.Content(jsonscan.Get(data, j.status)))
	switch {
	case status == "":
	case slices.Contains(j.pending, status):
		r.pending = true
	case slices.Contains(j.failed, status):
		r.failed, r.over = true, true
	case slices.Contains(j.finished, status):
		r.finish, r.over = true, true
	default: // a word that is new
		r.over = slices.Contains(overWords, strings.ToLower(status))
	}
}

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

var replicateParts = []fixedCount{
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
	fixed: replicateParts, job: &replicateJob, noUsage: true,
}

var replicatePoll = profile{
	name: "replicate-poll", family: FamilyPlain, provider: "replicate",
	match: getItem("/v1/predictions"),
	usage: replicateTokens, fields: replicateFields,
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

// Google's long-running operations (Veo, Imagen): the answer names the operation, whose resource says when it is done.

var geminiLongJob = Jobs{
	id: "name", flag: "done",
	poll: func(create, id string) string {
		i := strings.Index(create, "/models/")
		if p := strings.Index(create, "/projects/"); p >= 0 {
			i = p
		}
		if i < 0 {
			return ""
		}
		return create[:i] + "/" + id
	},
}

var geminiLongParts = []fixedCount{
	{`"generatedSamples"`, "response.generateVideoResponse.generatedSamples.#", cVideos},
	{`"generatedVideos"`, "response.generatedVideos.#", cVideos},
	{`"videos"`, "response.videos.#", cVideos}, // Vertex
}

var geminiLong = profile{
	name: "gemini-long", family: FamilyGemini, provider: "gemini", models: []string{},
	match: geminiPath("predictLongRunning"),
	job:   &geminiLongJob, noUsage: true,
}

var geminiLongPoll = profile{
	name: "gemini-long-poll", family: FamilyGemini, provider: "gemini",
	match: func(method, path string) (matched, bool) {
		id, ok := after(path, "/operations/")
		return matched{}, ok && method == "GET" && id != "" && !strings.Contains(id, "/")
	},
	fixed: geminiLongParts, job: &geminiLongJob, noUsage: true,
}

// Refers says whether the body of a request may refer to what an upstream keeps.
func (a *API) Refers(method, path string) bool {
	if method == "GET" || method == "HEAD" || method == "DELETE" || method == "OPTIONS" {
		return false
	}
	switch a.profile {
	case &openaiImages, &openaiSpeech, &openaiAudio, &openaiModerations, &openaiEmbeddings, &azureEmbeddings:
		return false
	}
	at := resource.InPath(path)
	if at.Kind != "" {
		return !at.Upload
	}
	return !a.Unknown || a.Family == FamilyAnthropic || a.Family == FamilyGemini
}

// Issued are the ids that a document of a successful answer gives to its caller; see resource.Issued.
func (a *API) Issued(doc []byte, r resource.Request) []resource.Ref {
	list := resource.Issued(doc, r)
	if j := a.profile.job; j != nil && r.Creates() && !r.Unstored && resource.MayIssue(doc, false) {
		list = append(list, resource.InPath(j.PollPath(r.Path, gjson.GetBytes(doc, j.id).String())).IDs...)
	}
	return list
}
