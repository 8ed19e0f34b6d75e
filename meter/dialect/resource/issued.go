package resource

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// issue is a place where answers have ids.
type issue struct {
	path string // gjson
	mark string // the document holds it, or there is nothing
	kind string // "": as Google's name says
}

var issues = []issue{
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

// Request is the request whose answer gives ids.
type Request struct {
	Method, Path string // the path is clean
	Unstored     bool   // the request asks the upstream to keep nothing
}

// Creates reports whether the request may create something.
func (r *Request) Creates() bool { return r.Method == "POST" || r.Method == "PUT" }

// Issued are the ids that a document of a successful answer gives to its caller: a
// JSON answer, or an event of a stream. Ask MayIssue first.
func Issued(doc []byte, r Request) (list []Ref) {
	at := InPath(r.Path)
	if r.Creates() {
		list = created(list, doc, &r, &at)
	}
	for i := range issues {
		g := &issues[i]
		if r.Unstored && g.kind == kindItems || !bytes.Contains(doc, []byte(g.mark)) {
			continue
		}
		list = appendRefs(list, gjson.GetBytes(doc, g.path), g.kind)
	}
	if lists := strings.HasSuffix(r.Path, "/items") || strings.HasSuffix(r.Path, "/input_items"); lists && len(at.IDs) > 0 {
		list = appendRefs(list, gjson.GetBytes(doc, "data.#.id"), kindItems)
	}
	return list
}

// A document that gives ids contains one of these. Most events of a stream contain
// none, so that they cost next to nothing.
var (
	marks = [][]byte{[]byte(`"id"`), []byte(`"name"`), []byte(`file`), []byte(`File`), []byte(`container_id`), []byte(`request_id`), []byte(`thread_id`), []byte(`store_ids`)}
	// without the id of the answer itself, which every event of a chat repeats
	unstoredMarks = [][]byte{[]byte(`"audio"`), []byte(`"container"`), []byte(`"conversation"`), []byte(`"name"`), []byte(`file`), []byte(`File`), []byte(`container_id`), []byte(`request_id`)}
)

// MayIssue reports whether a document may give ids. It is a quick look.
func MayIssue(doc []byte, unstored bool) bool {
	any := marks
	if unstored {
		any = unstoredMarks
	}
	return slices.ContainsFunc(any, func(m []byte) bool { return bytes.Contains(doc, m) })
}

// created appends the id of what the request has created.
func created(list []Ref, doc []byte, r *Request, at *Path) []Ref {
	remix := strings.HasSuffix(r.Path, "/remix") // of a video that exists
	switch {
	case at.Kind == "/threads" && !at.List && len(at.IDs) == 0: // thread and run at once
		list = appendRefs(list, gjson.GetBytes(doc, "thread_id"), "/threads")
	case at.Kind != "" && (at.List || len(at.IDs) == 0 || remix):
		if !r.Unstored {
			list = appendRefs(list, gjson.GetBytes(doc, "id"), at.Kind)
		}
		kind := at.Kind
		if kind == "/chat/completions" { // xAI
			kind = "/chat/deferred"
		}
		list = appendRefs(list, gjson.GetBytes(doc, "request_id"), kind)
	}
	return list
}

func appendRefs(list []Ref, v gjson.Result, kind string) []Ref {
	if v.IsArray() {
		v.ForEach(func(_, inner gjson.Result) bool {
			list = appendRefs(list, inner, kind)
			return len(list) < 1000
		})
		return list
	}
	if v.Type != gjson.String || v.Str == "" {
		return list
	}
	if s, ok := named(v.Str); ok {
		return append(list, s)
	}
	if kind == "" {
		return list
	}
	return append(list, Ref{Kind: kind, ID: v.Str})
}

// InHeader are the ids in the header of a successful answer.
func InHeader(header map[string][]string) (list []Ref) {
	for _, name := range []string{"Location", "Operation-Location", "Content-Location"} {
		if v := header[name]; len(v) > 0 {
			if s, ok := named(v[0]); ok {
				list = append(list, s)
			} else if ids := InPath(v[0]).IDs; len(ids) > 0 {
				list = append(list, ids[0])
			}
		}
	}
	return list
}
