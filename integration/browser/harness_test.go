// Package browser looks at the portal and the operator console with a real
// browser: every page, both themes, a phone's width, and people's journeys.
// Screenshots are kept in out/.
package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	builds "github.com/farebox-dev/farebox/internal/binary"
)

const shots = "out"

var (
	binary  string
	browser context.Context // of the process; each person has their own context in it
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	path, why := chromium()
	if path == "" {
		fmt.Println("the browser tests are skipped:", why)
		return 0
	}
	dir, err := os.MkdirTemp("", "farebox-browser-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	binary = filepath.Join(dir, "farebox")
	build := builds.Build(context.Background(), "../..", binary, "", builds.Target{})
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, out)
		return 1
	}
	if err := errors.Join(os.RemoveAll(shots), os.MkdirAll(shots, 0o755)); err != nil {
		panic(err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true))
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	var end context.CancelFunc
	browser, end = chromedp.NewContext(allocated, chromedp.WithErrorf(func(string, ...any) {})) // it complains of events that it does not know
	defer end()
	if err := chromedp.Run(browser); err != nil {
		fmt.Fprintln(os.Stderr, "starting", path+":", err)
		return 1
	}
	defer func() {
		for _, end := range atExit {
			end()
		}
	}()
	return m.Run()
}

// atExit ends what tests share.
var atExit []func()

// chromium finds the browser. On a CI machine, as root, it is installed.
func chromium() (path, why string) {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	look := func() string {
		for _, name := range names {
			if p, err := exec.LookPath(name); err == nil {
				return p
			}
		}
		return ""
	}
	if p := look(); p != "" {
		return p, ""
	}
	if os.Getenv("CI") != "true" || os.Getuid() != 0 {
		return "", "there is no chromium here; install it: apt-get install chromium"
	}
	for _, args := range [][]string{{"update", "-q"}, {"install", "-qy", "--no-install-recommends", "chromium"}} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Sprintf("apt-get %s: %v\n%s", args[0], err, out)
		}
	}
	return look(), "apt-get installed no chromium"
}

// demo is a running "farebox meter demo" with a month of history.
type demo struct {
	base, admin         string // http://…/_meter, http://…
	gateway             string
	mira, key, operator string // keys
}

var (
	runDemo  sync.Once
	theDemo  *demo
	demoFail error
)

// start brings up the demo, once for all tests.
func start(t *testing.T) *demo {
	t.Helper()
	runDemo.Do(func() { theDemo, demoFail = launch() })
	if demoFail != nil {
		t.Fatal(demoFail)
	}
	return theDemo
}

func launch() (*demo, error) {
	addr, admin := freePort(), freePort()
	out, err := os.CreateTemp(filepath.Dir(binary), "demo-*.txt")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "meter", "demo", "--listen", addr, "--address", admin, "--data", filepath.Join(filepath.Dir(binary), "demo"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(binary), "XDG_DATA_HOME="+filepath.Dir(binary), "XDG_CONFIG_HOME="+filepath.Dir(binary))
	endsWithUs(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	atExit = append(atExit, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	d := &demo{base: "http://" + addr + "/_meter", admin: "http://" + admin, gateway: "http://" + addr}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		text, _ := os.ReadFile(out.Name())
		if !bytes.Contains(text, []byte("farebox meter verify")) {
			continue
		}
		keys := regexp.MustCompile(`fb_(live|op)_[A-Za-z0-9]+`).FindAllString(string(text), -1)
		if len(keys) < 3 {
			return nil, fmt.Errorf("the demo prints too few keys:\n%s", text)
		}
		d.key, d.mira, d.operator = keys[0], keys[1], keys[2]
		return d, nil
	}
	text, _ := os.ReadFile(out.Name())
	return nil, fmt.Errorf("the demo does not start:\n%s", text)
}

func freePort() string {
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15_000+rand.IntN(17_000)) //nolint:gosec // below the ports that outgoing connections get
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close() // only its number is wanted
			return addr
		}
	}
	panic("there is no free port")
}

// ask uses the operator's API on the admin endpoint.
func (d *demo) ask(t *testing.T, method, path, body string, into any) {
	t.Helper()
	d.send(t, method, d.admin+"/meter"+path, body, into, "Content-Type", "application/json", "Idempotency-Key", fmt.Sprint(time.Now().UnixNano()))
}

// send sends a request; into is nil, or gets the answer's JSON. It returns the status.
func (d *demo) send(t *testing.T, method, url, body string, into any, headers ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into == nil {
		return res.StatusCode
	}
	if err := json.Unmarshal(text, into); err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s", method, url, res.Status, text)
	}
	return res.StatusCode
}

// person is someone with a browser window, and what went wrong in it.
type person struct {
	t    *testing.T
	d    *demo
	ctx  context.Context
	mu   sync.Mutex
	seen []string
}

// opens opens a window with cookies of its own, signed in with a key if it is not "".
func (d *demo) opens(t *testing.T, key string) *person {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithTargetID(window(t)))
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(stop)
	p := &person{t: t, d: d, ctx: ctx}
	chromedp.ListenTarget(ctx, p.listen)
	p.do(log.Enable(), network.Enable(), emulation.SetTimezoneOverride("UTC"), emulation.SetDeviceMetricsOverride(1240, 900, 1, false), chromedp.Navigate(d.base+"/"))
	if key != "" {
		var status int
		p.await(`fetch('v1/session', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({key: '`+key+`'})}).then(r => r.status)`, &status)
		if status != http.StatusOK {
			t.Fatalf("signing in: %d", status)
		}
	}
	t.Cleanup(func() {
		for _, problem := range p.problems() {
			t.Error("the browser says:", problem)
		}
	})
	return p
}

// window opens a window that shares nothing with the others.
func window(t *testing.T) target.ID {
	t.Helper()
	c := cdp.WithExecutor(t.Context(), chromedp.FromContext(browser).Browser)
	alone, err := target.CreateBrowserContext().Do(c)
	if err != nil {
		t.Fatal(err)
	}
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(alone).WithNewWindow(true).Do(c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// listen collects errors, and requests to any other host.
func (p *person) listen(event any) {
	problem := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		problem = e.ExceptionDetails.Error()
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			for _, a := range e.Args {
				problem += string(a.Value) + a.Description + " "
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			problem = e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, p.d.gateway+"/") && !strings.HasPrefix(u, "data:") {
			problem = "a request to elsewhere: " + u
		}
	case *page.EventJavascriptDialogOpening:
		problem = "a script opened a dialog: " + e.Message
	}
	if problem != "" {
		p.mu.Lock()
		p.seen = append(p.seen, problem)
		p.mu.Unlock()
	}
}

// problems takes what was collected.
func (p *person) problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// expects takes a collected problem that a test has provoked.
func (p *person) expects(text string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.seen)
	p.seen = slices.DeleteFunc(p.seen, func(s string) bool { return strings.Contains(s, text) })
	if len(p.seen) == n {
		p.t.Errorf("the browser did not complain of %q", text)
	}
}

func (p *person) do(actions ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.shot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
		p.t.Fatal(err)
	}
}

// evaluate evaluates an expression. left is true if the page was left meanwhile,
// be it by what the expression did: nothing has come back then.
func (p *person) evaluate(js string, into any) (left bool) {
	p.t.Helper()
	err := chromedp.Run(p.ctx, chromedp.Evaluate(js, into))
	for _, gone := range []string{"Inspected target navigated or closed", "Execution context was destroyed", "Cannot find context"} {
		if err != nil && strings.Contains(err.Error(), gone) {
			return true
		}
	}
	if err != nil {
		p.shot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
		p.t.Fatal(err)
	}
	return false
}

// act runs statements in the page, which may leave it.
func (p *person) act(js string) {
	p.t.Helper()
	p.evaluate(`(() => { `+js+` })()`, nil)
}

// selects chooses an option of the list that matches a selector and has it.
func (p *person) selects(list, value string) {
	p.t.Helper()
	p.act(fmt.Sprintf(`const s = [...document.querySelectorAll(%q)].find(s => [...s.options].some(o => o.value === %q)); s.value = %[2]q; s.dispatchEvent(new Event('change', {bubbles: true}))`, list, value))
}

// await evaluates an expression that may be a promise.
func (p *person) await(js string, into any) {
	p.t.Helper()
	p.do(chromedp.Evaluate(js, into, awaited))
}

// goes opens a page by its address and waits until it shows its data.
func (p *person) goes(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.d.base + path))
	p.settled()
}

// awaited lets an evaluation wait for a promise.
func awaited(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }

const settled = `!!document.querySelector('#title') && !document.querySelector('.loading, [aria-busy=true]')`

func (p *person) settled() { p.t.Helper(); p.until("the page has its data", settled) }

// until waits for an expression to be true, and returns how long it took.
func (p *person) until(what, js string) time.Duration {
	p.t.Helper()
	began := time.Now()
	for time.Since(began) < 20*time.Second {
		var ok bool
		if left := p.evaluate(`!!(`+js+`)`, &ok); ok && !left {
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.shot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
	p.t.Fatalf("timed out waiting for: %s\n%s", what, p.text("body"))
	return 0
}

// text is what an element shows.
func (p *person) text(selector string) string {
	p.t.Helper()
	var text string
	p.do(chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll(%q)].map(e => e.innerText).join('\n')`, selector), &text))
	return text
}

// shows is an expression: the main part of the page contains a text.
func shows(text string) string {
	return fmt.Sprintf(`(document.querySelector('main')?.innerText || '').includes(%q)`, text)
}

// press clicks the button or link with this text.
func (p *person) press(text string) {
	p.t.Helper()
	button := fmt.Sprintf(`[...(document.querySelector('dialog[open]') || document).querySelectorAll('button, a')].find(e => e.innerText.trim() === %q && !e.disabled)`, text)
	p.until("a button "+text, button)
	p.act(`const b = ` + button + `; if (b) { b.focus(); b.click() }`)
}

// fill types into a field of a form by its name.
func (p *person) fill(name, value string) {
	p.t.Helper()
	p.until("a field "+name, fmt.Sprintf(`(() => { const f = (document.querySelector('dialog[open]') || document).querySelector('[name=%s]'); if (!f) return false; f.value = %q; f.dispatchEvent(new Event('input', {bubbles: true})); f.dispatchEvent(new Event('change', {bubbles: true})); return true })()`, name, value))
}

// shot keeps a picture of the whole page.
func (p *person) shot(name string) {
	var png []byte
	if err := chromedp.Run(p.ctx, chromedp.FullScreenshot(&png, 100)); err != nil {
		p.t.Log("no screenshot:", err)
		return
	}
	if err := os.WriteFile(filepath.Join(shots, name+".png"), png, 0o600); err != nil {
		p.t.Error(err)
	}
}
