package job

import (
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// State is how far a job is.
type State uint8

// States.
const (
	Running State = iota
	Ended
	Failed
)

// StateOf reads the state of a job of an operation from an answer about it: by the
// price file, else by the dialect, else by the words that most APIs use.
func StateOf(op *pricing.Operation, api *dialect.API, a *pricing.Answer, r *dialect.Result) State {
	if a.Status < 200 || a.Status >= 300 {
		return Running // an error of the question says nothing about the job
	}
	over := r.JobOver
	if api.Jobs() == nil {
		over = dialect.JobOver(r.Body)
	}
	if op.Job == nil {
		switch {
		case !over:
			return Running
		case r.Status == dialect.StatusError:
			return Failed
		}
		return Ended
	}
	if op.JobFailed(a) {
		return Failed
	}
	if done, known := op.JobDone(a); done || over && !known {
		return Ended
	}
	return Running
}
