package pricing_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// FuzzLoad: no file makes the loader panic, and a book is only returned
// without errors.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob(fixtures + "/examples/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("version: 1\ncredit: {name: c}\noperations: {a: {match: /x, price: {per_1k_tokens: {input: 1}}}}\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n? [x]\n: !!str 5\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		book, problems := pricefile.Load("pricing.yaml", text)
		if (book == nil) != (problems.Errors() > 0) {
			t.Fatalf("book %v with %s", book != nil, problems.Summary())
		}
		for i := range problems {
			if problems[i].Message == "not valid YAML: the reader gave up" && recovered(text) {
				t.Fatal("recovered from a panic outside of the YAML library")
			}
		}
		if book == nil {
			return
		}
		book.PricesList()
		for _, op := range book.Operations {
			if op.Job != nil {
				op.JobFailed(&pricing.Answer{Status: 200, Body: []byte(`{"status":"failed"}`)})
			}
		}
	})
}

// FuzzRead: no request makes Read panic; what it takes has a price, and what
// is no JSON is never taken for it.
func FuzzRead(f *testing.F) {
	var books []*pricing.Book
	files, _ := filepath.Glob(fixtures + "/examples/*.yaml")
	for _, file := range files {
		books = append(books, loadBook(f, file))
	}
	f.Add("POST", "/v1/pages?x=1&pages=2", []byte(`{"sheets":1,"clip":{"seconds":2.5}}`), "application/json", "express")
	f.Add("POST", "/v1/chat/completions", []byte(`{"model":"words-1","n":2,"max_tokens":1e3}`), "", "")
	f.Add("POST", "/v1/scans", []byte("--x\r\nContent-Disposition: form-data; name=\"sheets\"\r\n\r\n3\r\n--x--\r\n"), "multipart/form-data; boundary=x", "")
	f.Add("POST", "/%2e%2e//v1/typeset/sk%45tch/jobs/", []byte(`{"sheets":"\u0031"}`), "", "a")
	f.Fuzz(func(t *testing.T, method, uri string, body []byte, contentType, lane string) {
		for _, b := range books {
			r, err := b.Read(&pricing.Facts{
				Method: method, URI: uri, Body: body, ContentType: contentType,
				Header: map[string][]string{"X-Lane": {lane}}, At: time.Unix(0, 0),
			})
			if err != nil {
				continue
			}
			var est pricing.Usage
			est.Tokens[pricing.Input] = int64(len(body))
			hold, err := r.Estimate(est, nil, pricing.FreeLeft{}).Hold()
			if err != nil {
				continue
			}
			a := &pricing.Answer{Status: 200, Body: body, Usage: &est}
			cost, err := r.Cost(a, nil, pricing.FreeLeft{})
			if err == nil && (hold.Amount < 0 || cost.Amount < 0) {
				t.Fatalf("negative: %v %v", hold, cost)
			}
			r.RefundDue(a, pricing.Answered)
			r.Estimate(est, nil, pricing.FreeLeft{}).LargestOutput(100)
			r.Operation().JobID(a)
			if r.TokenPriced() && len(body) > 0 && contentType == "" && !json.Valid(body) {
				t.Fatalf("%q was read as JSON", body)
			}
		}
	})
}

// recovered reports whether reading the YAML alone goes well, so that a panic
// must have come from what follows.
func recovered(text []byte) (fine bool) {
	defer func() { fine = recover() == nil && fine }()
	pricefile.Parse(string(text))
	return true
}
