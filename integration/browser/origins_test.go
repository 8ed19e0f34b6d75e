package browser

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A page of another origin asks with a key of its own; its browser asks first. It
// reads a refusal as it reads an answer.
func TestAPageOfAnotherOriginReadsAnswersAndRefusals(t *testing.T) {
	t.Parallel()
	d := start(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>an app</title><link rel=icon href=data:,>")
	}))
	t.Cleanup(page.Close)
	visitor := d.opens(t, "")
	visitor.do(chromedp.Navigate(page.URL + "/"))
	ask := func(method, path, key, body string) (status int, charge, text string) {
		t.Helper()
		var got struct {
			Status       int
			Charge, Text string
		}
		request := `{method: '` + method + `', headers: {'Authorization': 'Bearer ` + key + `', 'Content-Type': 'application/json', 'X-Stainless-Lang': 'js'}` + body + `}`
		visitor.await(`fetch('`+d.gateway+path+`', `+request+`).then(async r => ({Status: r.status, Charge: r.headers.get('Credits-Charge') ?? '', Text: await r.text()}), e => ({Text: String(e)}))`, &got)
		return got.Status, got.Charge, got.Text
	}
	if status, charge, text := ask("GET", "/v1/models", d.mira, ""); status != http.StatusOK || !strings.HasPrefix(charge, "ch_") {
		t.Errorf("an answer: %d %q %s", status, charge, text)
	}
	if status, _, text := ask("POST", "/v1/images", "fb_live_nobody", `, body: '{"prompt":"x"}'`); status != http.StatusUnauthorized || !strings.Contains(text, "invalid_api_key") {
		t.Errorf("a refusal: %d %s", status, text)
	}
	visitor.expects("401")
	visitor.expects("a request to elsewhere: " + page.URL)
}
