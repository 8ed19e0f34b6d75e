//go:build linux

package main

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // names a file, no secret
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// One API is a gateway in Go with accounts and quotas in a database. It checks the
// quota before a request, and books the charge after the answer was sent. Its
// default database is SQLite; one-api-batch adds charges up in memory and writes
// them every five seconds (BATCH_UPDATE_ENABLED).
const (
	oneAPIModule = "github.com/songquanpeng/one-api@v0.6.10"
	oneAPIToken  = "benchbenchbenchbenchbenchbenchbenchbenchbenchben" // 48 characters
	oneAPIAccess = "accessaccessaccessaccessaccessac"
)

// buildOneAPI builds a release of the Go module proxy. That has no web pages, which
// are embedded, so empty ones take their place; and it listens on loopback only.
func buildOneAPI(dir string) (string, error) {
	file, source := filepath.Join(dir, "one-api.bin"), filepath.Join(dir, "one-api-source")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	out, err := exec.Command("go", "mod", "download", "-json", oneAPIModule).Output()
	if err != nil {
		return "", fmt.Errorf("downloading %s: %w\n%s", oneAPIModule, err, out)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", err
	}
	if err := os.CopyFS(source, os.DirFS(m.Dir)); err != nil {
		return "", err
	}
	pages := filepath.Join(source, "web", "build", "default")
	main := filepath.Join(source, "main.go")
	text, err := os.ReadFile(main) //nolint:gosec // what was just copied
	if err != nil {
		return "", err
	}
	text = bytes.Replace(text, []byte(`":" + port`), []byte(`"127.0.0.1:" + port`), 1)
	if err := errors.Join(os.MkdirAll(pages, 0o700), os.WriteFile(filepath.Join(pages, "index.html"), nil, 0o600), os.Remove(main), os.WriteFile(main, text, 0o600)); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", file, ".") //nolint:gosec // fixed arguments
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", oneAPIModule, err, out)
	}
	return file, nil
}

func launchOneAPI(k kind, dir, upstream string) (*gateway, error) {
	bin, err := buildOneAPI(dir)
	if err != nil {
		return nil, err
	}
	own := filepath.Join(dir, k.name)
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := writeVocabulary(own); err != nil {
		return nil, err
	}
	g := &gateway{kind: k, cmd: exec.Command(bin, "--log-dir", ""), addr: "127.0.0.1:" + port, keys: []string{"sk-" + oneAPIToken}} //nolint:gosec // built here
	g.cmd.Env = append(os.Environ(), "PORT="+port, "GIN_MODE=release", "SQLITE_PATH="+filepath.Join(own, "one-api.db"), "SQL_DSN="+*oneAPIDB, "TIKTOKEN_CACHE_DIR="+own,
		"INITIAL_ROOT_TOKEN="+oneAPIToken, "INITIAL_ROOT_ACCESS_TOKEN="+oneAPIAccess, "MEMORY_CACHE_ENABLED=true", "SYNC_FREQUENCY=5", "GLOBAL_API_RATE_LIMIT=100000")
	if k.name == "one-api-batch" {
		g.cmd.Env = append(g.cmd.Env, "BATCH_UPDATE_ENABLED=true")
	}
	g.cmd.Stderr = &g.log // its standard output is a line for each request
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	if err := g.setUpOneAPI(upstream); err != nil {
		g.stop()
		return nil, fmt.Errorf("%s: %w\n%s", k.name, err, g.log.String())
	}
	return g, nil
}

// writeVocabulary writes one of single bytes. One API insists on one at its start,
// and would load it from the Internet. An option makes it count characters instead.
func writeVocabulary(dir string) error {
	var text strings.Builder
	for i := range 256 {
		fmt.Fprintf(&text, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(i)}), i)
	}
	err := os.MkdirAll(dir, 0o700)
	for _, name := range []string{"cl100k_base", "o200k_base"} {
		file := fmt.Sprintf("%x", sha1.Sum([]byte("https://openaipublic.blob.core.windows.net/encodings/"+name+".tiktoken"))) //nolint:gosec // as One API names it
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, file), []byte(text.String()), 0o600))
	}
	return err
}

// setUpOneAPI waits until it serves, adds the upstream and a price, and finds out what
// a request costs.
func (g *gateway) setUpOneAPI(upstream string) error {
	var err error
	for range 100 {
		if _, err = g.oneAPIQuota(); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	err = errors.Join(err,
		g.oneAPI(http.MethodPost, "/api/channel/", map[string]any{"name": "mock", "type": 1, "key": "sk-upstream", "base_url": "http://" + upstream, "models": "gpt-5-mini", "group": "default"}, nil),
		g.oneAPI(http.MethodPut, "/api/option/", map[string]any{"key": "ModelRatio", "value": `{"gpt-5-mini":0.5}`}, nil),
		g.oneAPI(http.MethodPut, "/api/option/", map[string]any{"key": "ApproximateTokenEnabled", "value": "true"}, nil))
	if err != nil {
		return err
	}
	full, err := g.oneAPIQuota()
	if err != nil {
		return err
	}
	for range 100 { // it learns of the upstream after a while
		if _, err = askChat(http.DefaultClient, g.addr, g.keys[0]); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	rest, err := g.settledQuota()
	if err != nil || rest == full {
		return errors.Join(err, errors.New("the first request was not charged"))
	}
	g.booked = func() (int, error) {
		now, err := g.settledQuota()
		return (full - now) / (full - rest), err
	}
	return nil
}

// settledQuota is the quota when it has not changed for longer than charges are added up.
func (g *gateway) settledQuota() (int, error) {
	last, err := g.oneAPIQuota()
	for since := time.Now(); err == nil && time.Since(since) < 7*time.Second; {
		time.Sleep(500 * time.Millisecond)
		var now int
		if now, err = g.oneAPIQuota(); now != last {
			last, since = now, time.Now()
		}
	}
	return last, err
}

func (g *gateway) oneAPIQuota() (int, error) {
	var user struct{ Quota int }
	err := g.oneAPI(http.MethodGet, "/api/user/self", nil, &user)
	return user.Quota, err
}

func (g *gateway) oneAPI(method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://"+g.addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+oneAPIAccess)
	res, err := adminClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Success bool
		Message string
		Data    any
	}{Data: out}
	if err := json.Unmarshal(raw, &answer); err != nil || !answer.Success {
		return fmt.Errorf("%s: %s %s %w", path, res.Status, answer.Message, err)
	}
	return nil
}
