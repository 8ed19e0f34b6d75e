package dialect

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
)

// maxField bounds one form field that is read; files are skipped.
const maxField = 4 << 10

// formFields turns the short text fields of a multipart body (audio uploads, image edits) into a JSON object, so that they are
// read by the same rules as a JSON body; repeated fields stay repeated. The boundary is the body's own first line.
func formFields(body []byte) []byte {
	line, _, _ := bytes.Cut(body, []byte("\n"))
	boundary := string(bytes.TrimRight(line, "\r")[2:])
	if boundary == "" || len(boundary) > 70 {
		return nil
	}
	out := []byte{'{'}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for range 100 {
		part, err := parts.NextRawPart()
		if err != nil {
			break
		}
		if part.FileName() != "" || part.FormName() == "" {
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, maxField))
		if err != nil {
			break
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(out, quote(part.FormName())...), ':')
		if text := string(value); text == "true" || text == "false" {
			out = append(out, text...)
		} else {
			out = append(out, quote(text)...)
		}
	}
	return append(out, '}')
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // cannot happen: strings always marshal
	}
	return b
}

// formFiles are the contents of the files in a multipart body, without copying them.
func formFiles(body []byte) (files [][]byte) {
	line, _, _ := bytes.Cut(body, []byte("\n"))
	delimiter := append([]byte("\n"), bytes.TrimRight(line, "\r")...)
	for rest := body[len(line):]; ; {
		head, tail, ok := bytes.Cut(rest, []byte("\r\n\r\n"))
		if !ok {
			return files
		}
		end := bytes.Index(tail, delimiter)
		if end < 0 {
			end = len(tail)
		}
		if bytes.Contains(bytes.ToLower(head), []byte("filename")) {
			files = append(files, bytes.TrimSuffix(tail[:end], []byte("\r")))
		}
		if end == len(tail) || len(files) == 100 {
			return files
		}
		rest = tail[end+len(delimiter):]
	}
}
