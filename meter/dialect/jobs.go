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
	// results is the path of the job's results, if only they report the usage.
	results func(poll string, body []byte) string
}

// Jobs is nil if answers of the API do not report jobs.
func (a *API) Jobs() *Jobs { return a.profile.job }

// PollPath is the path to poll with GET, or "". create is the clean path of the request that started the job.
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

// ResultsPath is the path of the results, "" if the state of the job reports its usage. poll is the path of the state, body its
// answer.
func (j *Jobs) ResultsPath(poll string, body []byte) string {
	if j == nil || j.results == nil {
		return ""
	}
	return j.results(poll, body)
}

// overWords are the states of a job that has ended, at most APIs, in lower case.
var overWords = []string{
	"completed", "complete", "succeeded", "success", "successful", "finished", "done", "ready", "ok", "ended",
	"failed", "failure", "error", "errored", "canceled", "cancelled", "aborted", "expired", "rejected", "timeout", "timed_out", "nsfw",
}

// JobOver reports whether an answer of an unknown API says that a job has ended, well or not.
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
	default: // a state that this API has added
		r.over = slices.Contains(overWords, strings.ToLower(status))
	}
}

// Refers reports whether the body of a request may refer to resources that an upstream keeps.
func (a *API) Refers(method, path string) bool {
	if a.profile.selfContained || method == "GET" || method == "HEAD" || method == "DELETE" || method == "OPTIONS" {
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
	if !resource.MayIssue(doc, r.Unstored) {
		return nil
	}
	list := resource.Issued(doc, r)
	if j := a.profile.job; j != nil && r.Creates() && !r.Unstored {
		list = append(list, resource.InPath(j.PollPath(r.Path, gjson.GetBytes(doc, j.id).String())).IDs...)
	}
	return list
}
