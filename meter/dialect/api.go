// Package dialect reads the wire protocols of AI APIs: what a request asks for, what an answer used, how a refusal looks.
//
// It is pure: no I/O, no clock, no goroutines. It knows tokens, not prices.
//
// An [API] is one endpoint of one provider. [Detect] finds it by method and path and never fails: what it does not know is
// plain HTTP. [API.ReadRequest], [API.EstimateInput] and [API.Prepare] work on the request body before it is sent;
// a [Reader] follows the answer as its bytes pass and has a [Result] at any time. The reader never changes the bytes that the
// client gets, except that it removes the usage chunk that [API.Prepare] asked for.
//
// A new API is a profile in the file of its provider, which says where the model, the output limit, the usage and the text are, and
// an entry in the table profiles. The packages below are frame (streams as events), resource (ids that upstreams issue) and tokens
// (estimates).
package dialect

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/dialect/frame"
)

// Families decide the shape of a refusal and the tokenizer factor.
const (
	FamilyOpenAI    = "openai"
	FamilyAnthropic = "anthropic"
	FamilyGemini    = "gemini"
	FamilyPlain     = "plain"
)

// API is one endpoint of one provider's wire protocol. It is immutable and safe for concurrent use.
type API struct {
	// Name identifies the endpoint, for example "openai-chat", "anthropic-messages", "plain".
	Name string
	// Family decides the error shape: openai, anthropic, gemini or plain.
	Family string
	// Unknown says that nothing is known about the protocol.
	Unknown bool
	// Free says that the API never charges: counting tokens, moderation, lists.
	Free bool
	// FileBatch says that the requests to pay for are in an uploaded file, not in the body.
	FileBatch bool
	// Socket says that the API is a WebSocket that can be metered.
	Socket bool
	// PathModel is the model named in the path (Gemini, Bedrock, Azure, Replicate), "" elsewhere.
	PathModel string

	pathStream bool // the path asks for a stream (Gemini, Bedrock)
	profile    *profile
}

// profiles in the order in which they are tried; more specific paths first.
var profiles = []*profile{
	&azureChat, &azureEmbeddings,
	&mistralChat, &mistralOther, &mistralOCR, &mistralConversations,
	&openaiChat, &openaiResponsesCount, &openaiResponses, &openaiResponsesPoll, &openaiCompletions, &openaiRealtime,
	&openaiEmbeddings, &openaiImages, &openaiSpeech, &openaiAudio, &openaiModerations, &openaiVideoPoll, &openaiVideo,
	&anthropicCount, &anthropicBatch, &anthropicBatchPoll, &anthropicBatchResults, &anthropicMessages, &anthropicVertex,
	&openaiBatchPoll, &openaiBatch, &openaiBatchResults, &openaiRead,
	&geminiCount, &vertexPredict, &geminiGenerate, &geminiEmbed, &geminiInteractions, &geminiInteractionsPoll, &geminiLong, &geminiLongPoll,
	&bedrockConverse, &bedrockInvoke,
	&ollamaChat, &ollamaEmbed, &cohereChat, &cohereEmbed, &cohereRerank, &rerank,
	&llamaCompletion, &tgiGenerate, &openaiRuns, &openaiRunsPoll,
	&replicatePoll, &replicate, &falPoll, &fal,
}

// Detect finds the API of a request. path is cleaned and decoded, without the query; it may carry a mount prefix.
// hint is the name of an API ("openai-chat") or of a provider ("mistral"), or "". The result is never nil.
func Detect(method, path, hint string) *API {
	path, _, _ = strings.Cut(path, "?")
	if hint == plain.name {
		return plainFor(path)
	}
	for _, p := range profiles {
		if hint != "" && p.name == hint {
			m, _ := p.match(method, path)
			return p.api(m)
		}
	}
	for _, p := range profiles {
		if m, ok := p.match(method, path); ok && hint != "" && p.provider == hint {
			return p.api(m)
		}
	}
	for _, p := range profiles {
		if m, ok := p.match(method, path); ok && !p.hintOnly {
			return p.api(m)
		}
	}
	return plainFor(path)
}

func (p *profile) api(m matched) *API {
	if p.always != nil && m == (matched{}) {
		return p.always
	}
	return &API{
		Name: p.name, Family: p.family, Unknown: p == &plain, Free: p.free, FileBatch: p.fileBatch, Socket: p.socket,
		PathModel: m.model, pathStream: m.stream, profile: p,
	}
}

var plain = profile{name: "plain", family: FamilyPlain, noUsage: true, asks: (*demand).anything}

// plainFor is the API of an unknown endpoint. Its family still follows the neighbourhood of the path, so that an
// official SDK understands a refusal.
func plainFor(path string) *API {
	a := *plain.api(matched{})
	switch {
	case hasSegments(path, "/v1/messages"):
		a.Family = FamilyAnthropic
	case hasSegments(path, "/v1beta"):
		a.Family = FamilyGemini
	case hasSegments(path, "/v1"), hasSegments(path, "/openai"):
		a.Family = FamilyOpenAI
	}
	return &a
}

// profile describes one endpoint as data. Paths are gjson paths unless said otherwise.
type profile struct {
	name, family string
	errors       *ErrorFormat // default: the family's
	provider     string       // what a hint may say instead of the exact name
	always       *API         // of a path that says nothing more than its endpoint
	keys         *meteredKeys // of requests
	match        matcher      // path is cleaned and decoded, possibly below a mount prefix
	hintOnly     bool         // shares its paths with another API
	fileBatch    bool         // its requests are in an uploaded file
	free         bool         // never charged: counting, moderation, lists

	// Request.
	models    []string // default: model
	limit     OutputLimit
	multiples []string // fields that multiply the output
	prompts   string   // a field whose array length multiplies the output (legacy completions)
	streams   bool     // streams by default (Ollama)
	inject    bool     // stream_options.include_usage may be asked for
	intInput  string   // a field that may hold token ids instead of text (embeddings)

	// Answer.
	usage         []place
	fields        []field
	fixed         []countedField
	perDone       []count // added for each event in done
	perBody       []count // 1 for a whole JSON answer
	headers       []headerField
	searches      func(r *Reader, answer []byte) // counts searches that have no number in the usage
	sums          string                         // a list in the usage whose members' sums count if larger (Anthropic's iterations)
	exclusive     bool                           // input excludes cache reads and writes
	output        outputRule
	text          textSpec
	done          []string // event types that end the answer well
	failed        []string // event types that end it badly
	job           *Jobs
	asks          func(*demand) // notes the units that a request asks for
	asksSearches  func(q *demand, tools gjson.Result)
	batch         string                   // member with the requests of a batch
	recordings    bool                     // its files are recordings
	selfContained bool                     // requests never refer to what the upstream keeps
	stateful      bool                     // requests continue earlier ones
	cacheMarks    bool                     // only marked parts of a prompt are cached
	sound         bool                     // answers are sound
	anyText       bool                     // answers may be any text, but no page
	billsFilter   bool                     // bills the input that a content filter refused
	unwrap        func(frame.Event) []byte // the document in an event, if that is not its data
	arrays        bool                     // streams may be one JSON array (Gemini)
	lines         bool                     // newline-delimited JSON under any content type (batch results)
	sum           bool                     // every usage is a part of the answer's (turns of a socket, lines of a batch)
	socket        bool                     // speaks WebSocket
	freeObject    string                   // the object of answers that cost nothing: a free API has the same path
	pictures      bool                     // output whose parts are not reported is pictures
	noUsage       bool                     // the answer is complete without token usage (images, jobs, plain)
}

// matcher recognises the requests of an API. path is clean and may have a prefix.
type matcher func(method, path string) (matched, bool)

// matched is what a path says beyond its endpoint.
type matched struct {
	model  string
	stream bool
}

// textKind says what a member below a text root is.
type textKind uint8

const (
	textString textKind = iota + 1 // a string: delivered text
	textJSON                       // any value: its JSON is delivered text (tool-call arguments as objects)
	textFinish                     // a string that ends the answer (finish_reason)
)

// textSpec says where an answer carries what the model generated: every member named in keys, anywhere below a top-level
// member named in roots. A root that is itself a string is text.
type textSpec struct {
	roots []string
	keys  map[string]textKind
}

func (t *textSpec) isRoot(key []byte) bool {
	for _, root := range t.roots {
		if string(key) == root { // does not allocate
			return true
		}
	}
	return false
}

// place is where a usage object may be. base is the prefix of the answer object around it ("response." in a Responses event).
type place struct {
	path     string  // plain names with dots; "" is the answer object itself
	base     string  // where model, service_tier and items are, with trailing dot
	mark     string  // the bytes that must occur in an event before it is parsed for this place
	except   []count // counts that mean nothing here (output_tokens of Anthropic's message_start is a placeholder)
	kind     string  // only in events of this type
	separate bool    // of another model, not part of the answer's own
	tool     bool    // what a hosted tool used, which the usage does not include
}

// field maps a gjson path inside a usage object to a count. Of several names of one count the largest number counts: servers
// fill one and leave the others at 0.
type field struct {
	path string
	to   count
}

// countedField counts by a gjson path on the whole answer: data.# images, web_search_call items.
type countedField struct {
	mark string // the bytes that must occur before the path is evaluated
	path string
	to   count
}

type headerField struct {
	name string
	to   count
}

// outputRule says how the output total follows from the reported counts (wire.md §0.3).
type outputRule uint8

const (
	outputMax   outputRule = iota // output, and the reasoning that the total shows to be outside of it
	outputRest                    // the same, without what tools put into the input (Gemini)
	outputAdded                   // output + reasoning (Gemini Interactions)
	outputAsIs                    // output
	outputOmits                   // output; a count of 0 is left out (Ollama)
	outputZero                    // embeddings, rerank: everything is input
)

// post matches POST requests whose path ends with one of the given suffixes.
func post(suffixes ...string) matcher {
	return func(method, path string) (matched, bool) {
		return matched{}, method == "POST" && slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(path, s) })
	}
}

// exactly matches POST requests for whole paths.
func exactly(paths ...string) matcher {
	return func(method, path string) (matched, bool) {
		return matched{}, method == "POST" && slices.Contains(paths, path)
	}
}

// getItem matches GET requests for one item of a collection: …/v1/videos/{id}.
func getItem(collections ...string) matcher {
	return func(method, path string) (matched, bool) {
		return matched{}, method == "GET" && slices.ContainsFunc(collections, func(c string) bool {
			id, ok := after(path, c+"/")
			return ok && id != "" && !strings.Contains(id, "/")
		})
	}
}

// either matches what one of two matchers does.
func either(a, b matcher) matcher {
	return func(method, path string) (matched, bool) {
		if m, ok := a(method, path); ok {
			return m, true
		}
		return b(method, path)
	}
}

// like is an API that differs from p in its paths and in what else is changed.
func (p profile) like(name, provider string, match matcher, changes ...func(*profile)) profile {
	p.name, p.provider, p.match, p.hintOnly = name, provider, match, false
	for _, change := range changes {
		change(&p)
	}
	return p
}

// poll is the API by which the jobs of p are polled. Its answers are those of p.
func (p profile) poll(match matcher) profile {
	return profile{
		name: p.name + "-poll", family: p.family, provider: p.provider, match: match,
		usage: p.usage, fields: p.fields, fixed: p.fixed, perBody: p.perBody, searches: p.searches, exclusive: p.exclusive, output: p.output,
		text: p.text, done: p.done, failed: p.failed, job: p.job, noUsage: p.noUsage,
	}
}

// after returns what follows the last occurrence of mark, which must start at a segment border.
func after(path, mark string) (string, bool) {
	i := strings.LastIndex(path, mark)
	if i < 0 {
		return "", false
	}
	return path[i+len(mark):], true
}

// hasSegments says whether whole segments of path, anywhere, read like segs ("/v1/messages").
func hasSegments(path, segs string) bool {
	for i := 0; ; {
		j := strings.Index(path[i:], segs)
		if j < 0 {
			return false
		}
		i += j + len(segs)
		if i == len(path) || path[i] == '/' {
			return true
		}
	}
}
