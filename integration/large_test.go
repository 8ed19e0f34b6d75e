package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Many clients with large bodies at once all get their answers, and the gateway's memory stays bounded.
func TestManyLargeBodies(t *testing.T) {
	const clients, size = 64, 20_000_000
	g := start(t, setup{upstream: by(chatPath, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"c","object":"chat.completion","model":"demo","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12},"length":%d}`, n)
	})})
	key := g.account("acme", "900000000")
	const head, tail = `{"model":"demo-small","max_tokens":10,"messages":[{"role":"user","content":"`, `"}]}`
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			body := io.MultiReader(strings.NewReader(head), io.LimitReader(letters{}, size), strings.NewReader(tail))
			req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+chatPath, body)
			if err != nil {
				t.Error(err)
				return
			}
			req.ContentLength = int64(len(head) + size + len(tail))
			req.Header.Set("Authorization", "Bearer "+key)
			req.Header.Set("Content-Type", "application/json")
			res, err := plain.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close() //nolint:errcheck // read to its end
			b, _ := io.ReadAll(res.Body)
			if res.StatusCode != http.StatusOK || !strings.Contains(string(b), strconv.Itoa(len(head)+size+len(tail))) {
				t.Errorf("%s: %.300s", res.Status, b)
			}
		})
	}
	all.Wait()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Pid))
	if err != nil {
		t.Logf("the peak of memory is not known on this system: %v", err)
		return
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(peak)[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d clients with %d MB each: a peak of %d MB", clients, size/1_000_000, kilobytes/1000)
	if kilobytes > 1_100_000 {
		t.Errorf("the gateway took %d MB", kilobytes/1000)
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a' + byte(i%7)
		if i%6 == 5 {
			p[i] = ' '
		}
	}
	return len(p), nil
}
