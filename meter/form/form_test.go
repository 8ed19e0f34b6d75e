package form

import (
	"bytes"
	"mime/multipart"
	"strings"
	"testing"
)

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

func TestReadsWhatClientsWrite(t *testing.T) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("model", "cheap")
	f, _ := w.CreateFormFile("file", "ä b.wav")
	_, _ = f.Write([]byte("RIFF\r\n--not a boundary\n\x00\xff"))
	_ = w.Close()
	for name, c := range map[string]struct {
		kind string
		body []byte
	}{
		"go":     {w.FormDataContentType(), b.Bytes()},
		"dotnet": {`multipart/form-data; boundary="b-1"`, crlf("--b-1\nContent-Type: text/plain; charset=utf-8\nContent-Disposition: form-data; name=model\n\ncheap\n--b-1\nContent-Disposition: form-data; name=file; filename=a.wav; filename*=utf-8''a.wav\n\nx\n--b-1--\n")},
		"okhttp": {"multipart/form-data; boundary=b1", crlf("--b1\nContent-Disposition: form-data; name=\"model\"\nContent-Length: 5\n\ncheap\n--b1\nContent-Disposition: form-data; name=\"file\"; filename=\"a;b.wav\"\nContent-Type: audio/wav\nContent-Length: 1\n\nx\n--b1--\n")},
		"curl":   {"multipart/form-data; boundary=------------------------d74496d66958873e", crlf("--------------------------d74496d66958873e\nContent-Disposition: form-data; name=\"model\"\n\ncheap\n--------------------------d74496d66958873e\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\n\n\n--------------------------d74496d66958873e--\n")},
	} {
		parts, err := Read(c.kind, c.body)
		if err != nil || len(parts) != 2 || parts[0].Name != "model" || string(parts[0].Value) != "cheap" || parts[0].File || !parts[1].File || parts[1].Name != "file" {
			t.Errorf("%s: %v, %+v", name, err, parts)
		}
	}
}

// Each of these is read by some parser in use as another form than by another.
func TestRefusesWhatParsersReadDifferently(t *testing.T) {
	const kind = "multipart/form-data; boundary=b"
	part := func(head string) string { return "--b\n" + head + "\n\nv\n--b--\n" }
	const field = `Content-Disposition: form-data; name="n"`
	if _, err := Read(kind, crlf(part(field))); err != nil {
		t.Fatal("the template itself is refused:", err)
	}
	for name, c := range map[string]struct{ kind, body string }{
		"boundary twice":            {kind + "; boundary=c", part(field)},
		"boundary extended":         {kind + "; boundary*0=c", part(field)},
		"boundary extended alone":   {"multipart/form-data; boundary*=utf-8''b", part(field)},
		"no boundary":               {"multipart/form-data", part(field)},
		"boundary with a blank":     {`multipart/form-data; boundary="b c"`, "--b c\n" + field + "\n\nv\n--b c--\n"},
		"boundary with a backslash": {`multipart/form-data; boundary="\b"`, part(field)},
		"charset":                   {kind + "; charset=utf-16", part(field)},
		"two types":                 {kind + ", application/json", part(field)},
		"mixed":                     {"multipart/mixed; boundary=b", part(field)},
		"json":                      {"application/json", `{"n":1}`},
		"preamble":                  {kind, "x\n" + part(field)},
		"empty preamble":            {kind, "\n" + part(field)},
		"epilogue":                  {kind, part(field) + "--b\n" + field + "\n\nw\n--b--\n"},
		"no end":                    {kind, "--b\n" + field + "\n\nv\n"},
		"padded boundary":           {kind, "--b \n" + field + "\n\nv\n--b--\n"},
		"longer boundary":           {kind, "--b\n" + field + "\n\nv\n--bc\n" + field + "\n\nw\n--b--\n"},
		"boundary within a line":    {kind, "--b\n" + field + "\n\nv--b\n" + field + "\n\nw\n--b--\n"},
		"name extended":             {kind, part("Content-Disposition: form-data; name*=utf-8''n")},
		"name twice":                {kind, part(field + `; name="m"`)},
		"name and extended":         {kind, part(field + "; name*=utf-8''m")},
		"name with escapes":         {kind, part(`Content-Disposition: form-data; name="a\"b"`)},
		"name in pieces":            {kind, part(`Content-Disposition: form-data; name*0="a"; name*1="b"`)},
		"other parameter":           {kind, part(field + "; x=y")},
		"file name extended alone":  {kind, part(field + "; filename*=utf-8''f")},
		"open quote":                {kind, part(`Content-Disposition: form-data; name="n`)},
		"no quotes, two words":      {kind, part("Content-Disposition: form-data; name=a b")},
		"no name":                   {kind, part("Content-Disposition: form-data")},
		"empty name":                {kind, part(`Content-Disposition: form-data; name=""`)},
		"attachment":                {kind, part(`Content-Disposition: attachment; name="n"`)},
		"two dispositions":          {kind, part(field + "\n" + `Content-Disposition: form-data; name="m"`)},
		"folded":                    {kind, part("Content-Disposition: form-data;\n name=\"n\"")},
		"blank before the colon":    {kind, part(`Content-Disposition : form-data; name="n"`)},
		"no disposition":            {kind, part("Content-Type: text/plain")},
		"unknown header":            {kind, part(field + "\nX: y")},
		"nested":                    {kind, part(field + "\nContent-Type: multipart/mixed; boundary=c")},
		"base64":                    {kind, part(field + "\nContent-Transfer-Encoding: base64")},
	} {
		if parts, err := Read(c.kind, crlf(c.body)); err == nil {
			t.Errorf("%s: read as %+v", name, parts)
		}
	}
	if _, err := Read(kind, []byte(part(field))); err == nil {
		t.Error("bare line feeds are read")
	}
}
