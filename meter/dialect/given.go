package dialect

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
)

// given says where answers have ids.
type given struct {
	path string // gjson
	mark string // the document holds it, or there is nothing
	kind string // "": as Google's name says
}

var givens = []given{
	{"output_file_id", `"output_file_id"`, "/files"},
	{"error_file_id", `"error_file_id"`, "/files"},
	{"output_file", `"output_file"`, "/files"}, // Mistral
	{"error_file", `"error_file"`, "/files"},
	{"result_files", `"result_files"`, "/files"},
	{"file.id", `"file"`, "/files"}, // of an upload that is complete
	{"conversation.id", `"conversation"`, "/conversations"},
	{"container.id", `"container"`, "/containers"},
	{"output.#.container_id", `"container_id"`, "/containers"},
	{"item.container_id", `"container_id"`, "/containers"},
	{"content.#.content.content.#.file_id", `"file_id"`, "/files"}, // what Anthropic's tools have written
	{"content_block.content.content.#.file_id", `"file_id"`, "/files"},
	{"content.#.image_file.file_id", `"image_file"`, "/files"}, // what an assistant has drawn or written
	{"data.#.content.#.image_file.file_id", `"image_file"`, "/files"},
	{"content.#.text.annotations.#.file_path.file_id", `"file_path"`, "/files"},
	{"data.#.content.#.text.annotations.#.file_path.file_id", `"file_path"`, "/files"},
	{"tool_resources.file_search.vector_store_ids", `"vector_store_ids"`, "/vector_stores"},
	{"output.#.id", `"output"`, kindItems},
	{"item.id", `"item"`, kindItems},
	{"choices.#.message.audio.id", `"audio"`, kindAudio},
	{"choices.#.delta.audio.id", `"audio"`, kindAudio},
	{"name", `"name"`, ""},
	{"file.name", `"file"`, ""},
	{"response.responsesFile", `"responsesFile"`, ""},
	{"dest.fileName", `"fileName"`, ""},
	{"metadata.output.responsesFile", `"responsesFile"`, ""},
}

// GivenOptions are what the ids of an answer depend on beside it.
type GivenOptions struct {
	Method, Path string // of the request; the path is clean
	Unstored     bool   // the request asks the upstream to keep nothing
}

// Given are the ids that a document of a successful answer gives to its caller:
// a JSON answer, or an event of a stream.
func (a *API) Given(doc []byte, o GivenOptions) (list []Stored) {
	if !mayGive(doc, o.Unstored) {
		return nil
	}
	at := StoredIn(o.Path)
	list = a.created(list, doc, o, &at)
	for _, g := range givens {
		if o.Unstored && g.kind == kindItems || !bytes.Contains(doc, []byte(g.mark)) {
			continue
		}
		list = appendGiven(list, gjson.GetBytes(doc, g.path), g.kind)
	}
	if lists := strings.HasSuffix(o.Path, "/items") || strings.HasSuffix(o.Path, "/input_items"); lists && len(at.IDs) > 0 {
		list = appendGiven(list, gjson.GetBytes(doc, "data.#.id"), kindItems)
	}
	return list
}

// What a document has that gives ids: any of these. Most events of a stream have
// none, so that they cost next to nothing.
var (
	givenMarks = [][]byte{[]byte(`"id"`), []byte(`"name"`), []byte(`file`), []byte(`File`), []byte(`container_id`), []byte(`request_id`), []byte(`thread_id`), []byte(`store_ids`)}
	// beside the id of the answer itself, which every event of a chat repeats
	unstoredMarks = [][]byte{[]byte(`"audio"`), []byte(`"container"`), []byte(`"conversation"`), []byte(`"name"`), []byte(`file`), []byte(`File`), []byte(`container_id`), []byte(`request_id`)}
)

func mayGive(doc []byte, unstored bool) bool {
	marks := givenMarks
	if unstored {
		marks = unstoredMarks
	}
	return slices.ContainsFunc(marks, func(m []byte) bool { return bytes.Contains(doc, m) })
}

// created is the id of what the request has made.
func (a *API) created(list []Stored, doc []byte, o GivenOptions, at *StoredPath) []Stored {
	if o.Method != "POST" && o.Method != "PUT" {
		return list
	}
	again := strings.HasSuffix(o.Path, "/remix") // of one that is there already
	switch {
	case at.Kind == "/threads" && !at.List && len(at.IDs) == 0: // thread and run at once
		list = appendGiven(list, gjson.GetBytes(doc, "thread_id"), "/threads")
	case at.Kind != "" && (at.List || len(at.IDs) == 0 || again):
		if !o.Unstored {
			list = appendGiven(list, gjson.GetBytes(doc, "id"), at.Kind)
		}
		kind := at.Kind
		if kind == "/chat/completions" { // xAI
			kind = "/chat/deferred"
		}
		list = appendGiven(list, gjson.GetBytes(doc, "request_id"), kind)
	}
	if j := a.profile.job; j != nil && !o.Unstored {
		id := gjson.GetBytes(doc, j.id).String()
		list = append(list, StoredIn(a.PollPath(o.Path, id)).IDs...)
	}
	return list
}

func appendGiven(list []Stored, v gjson.Result, kind string) []Stored {
	if v.IsArray() {
		v.ForEach(func(_, inner gjson.Result) bool {
			list = appendGiven(list, inner, kind)
			return len(list) < 1000
		})
		return list
	}
	if v.Type != gjson.String || v.Str == "" {
		return list
	}
	if s, ok := storedName(v.Str); ok {
		return append(list, s)
	}
	if kind == "" {
		return list
	}
	return append(list, Stored{Kind: kind, ID: v.Str})
}

// GivenHeader are the ids in the header of a successful answer.
func GivenHeader(header map[string][]string) (list []Stored) {
	for _, name := range []string{"Location", "Operation-Location", "Content-Location"} {
		if v := headerValue(header, name); v != "" {
			if s, ok := storedName(v); ok {
				list = append(list, s)
			} else if ids := StoredIn(v).IDs; len(ids) > 0 {
				list = append(list, ids[0])
			}
		}
	}
	return list
}

// Document is a JSON answer, once it has come whole; nil before, and of a stream.
func (r *Reader) Document() []byte {
	if r.format != frame.JSON && (r.format != frame.Undecided || !r.sniffer.JSON()) || r.overflow {
		return nil
	}
	b := bytes.TrimSpace(r.body)
	if len(b) == 0 || b[len(b)-1] != '}' && b[len(b)-1] != ']' || !jsonscan.Valid(b) {
		return nil
	}
	return b
}
