package form_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/lenient"
	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/form"
)

// pieces are what parsers of forms stumble over.
var pieces = []string{
	"\r\n", "\n", "\r", "\r\n\r\n", "--", "--b", "\r\n--b\r\n", "\n--b\n", "\r\n--b--\r\n", "--c", " ", "\t", ";", "=", `"`, `\`, `\"`, ",", "[]", "[0]", "\x00", "\xff",
	`Content-Disposition: form-data; name="n"`, `; name="n"`, `; name*=utf-8''n`, `; filename="f"`, `; filename*=utf-8''f`, `; name=n`, "n", "model", "9",
	"Content-Type: text/plain", "\r\nContent-Transfer-Encoding: base64", "Content-Length: 1", "X: y", "\r\n ", "boundary=c", "; boundary=c", "; charset=utf-8", "%6e",
}

func mutated(r *rand.Rand, s string) string {
	for range 1 + r.IntN(4) {
		at := r.IntN(len(s) + 1)
		end := min(len(s), at+r.IntN(12))
		switch r.IntN(4) {
		case 0: // put in
			s = s[:at] + pieces[r.IntN(len(pieces))] + s[at:]
		case 1: // replace
			s = s[:at] + pieces[r.IntN(len(pieces))] + s[end:]
		case 2: // leave out
			s = s[:at] + s[end:]
		default: // double
			s = s[:end] + s[at:]
		}
	}
	return s
}

// However a form is made, it is refused, or every parser finds the same fields in it.
func TestParsersAgreeOnWhatIsRead(t *testing.T) {
	seed := seed.Of(t)
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	rounds := 300_000
	if testing.Short() {
		rounds = 20_000
	}
	const kind = "multipart/form-data; boundary=b"
	body := "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ncheapest\r\n--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--b--\r\n"
	read := 0
	for range rounds {
		contentType, sent := kind, mutated(r, body)
		if r.IntN(4) == 0 {
			contentType = mutated(r, kind)
		}
		parts, err := form.Read(contentType, []byte(sent))
		if err != nil {
			continue
		}
		read++
		if problem := disagreement(contentType, sent, parts); problem != "" {
			t.Fatalf("seed %d: %s\n%q\n%q\n%+v", seed, problem, contentType, sent, parts)
		}
	}
	t.Logf("%d of %d forms were read", read, rounds)
	if read < rounds/100 {
		t.Errorf("only %d of %d mutations are forms", read, rounds)
	}
}

// disagreement says what a server reads otherwise. Names that occur twice, as
// n and n[], too, are refused by whoever reads them.
func disagreement(contentType, body string, parts []form.Part) string {
	want, twice := map[string]string{}, map[string]bool{}
	for _, p := range parts {
		name, _, _ := strings.Cut(p.Name, "[")
		_, again := want[name]
		twice[name] = twice[name] || again
		if !p.File {
			want[name] = string(p.Value)
		}
	}
	for _, server := range lenient.Servers {
		if strings.HasPrefix(server.Name, "any type") {
			continue
		}
		got, ok := server.Read([]string{contentType}, []byte(body))
		if !ok { // it runs nothing
			continue
		}
		for name, value := range got {
			base, _, _ := strings.Cut(name, "[")
			mine, there := want[base]
			if !there || !twice[base] && plainLines(mine) != plainLines(value) {
				return fmt.Sprintf("%s reads %q = %q, not %q", server.Name, name, value, mine)
			}
		}
		if len(got) == 0 && len(want) > 0 {
			return server.Name + " finds no fields"
		}
	}
	return ""
}

// plainLines forgets how lines end: the emulations change that.
func plainLines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}
