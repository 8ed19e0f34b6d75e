//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// needKeys makes sure that the gateway has n accounts, each with a key. A gateway
// without a ledger takes any key.
func (g *gateway) needKeys(n int) error {
	have := len(g.keys)
	if !g.ledger || n <= have {
		return nil
	}
	const workers = 32
	keys := make([]string, n-have)
	failed := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(keys) && failed[w] == nil; i += workers {
				keys[i], failed[w] = g.newKey(have + i)
			}
		})
	}
	wg.Wait()
	g.keys = append(g.keys, keys...)
	return errors.Join(append(failed, g.idle(3*time.Second))...) // each account that was made is an event to deliver
}

// key is that of the account whose turn it is.
func (g *gateway) key(i, accounts int) string {
	if g.keys == nil {
		return "sk-account-" + strconv.Itoa(i%accounts)
	}
	return g.keys[i%accounts]
}

func (g *gateway) newKey(i int) (string, error) {
	id := "account-" + strconv.Itoa(i)
	if err := g.post("/meter/accounts", map[string]string{"id": id}, nil); err != nil {
		return "", err
	}
	var k struct{ Secret string }
	err := g.post("/meter/accounts/"+id+"/keys", map[string]string{}, &k)
	return k.Secret, err
}

func (g *gateway) post(path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+g.admin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := adminClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s %w", path, res.Status, raw, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}
