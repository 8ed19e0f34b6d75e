package notifier

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/notify"
)

// webhook posts an event as Standard Webhooks has it: id, timestamp and
// signature in headers, over exactly the bytes of the body.
func webhook(ctx context.Context, c *http.Client, url string, secrets [][]byte, e *notify.Event) notify.Answer {
	body, now := e.Body(), time.Now()
	return post(ctx, c, url, body, map[string]string{
		"webhook-id": e.ID, "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": notify.Sign(secrets, e.ID, now, body),
	})
}

func post(ctx context.Context, c *http.Client, url string, body []byte, header map[string]string) notify.Answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return notify.Answer{Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Farebox-Webhook/1")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		return notify.Answer{Err: err}
	}
	defer res.Body.Close()                                       //nolint:errcheck // nothing is read from it but its beginning
	text, _ := io.ReadAll(io.LimitReader(res.Body, 200))         // for the log of deliveries
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	a := notify.Answer{Status: res.StatusCode, Gone: res.StatusCode == http.StatusGone}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		a.Err = fmt.Errorf("the endpoint answered %d %s", res.StatusCode, strings.ToValidUTF8(strings.TrimSpace(string(text)), "?"))
	}
	return a
}

// slack posts an event as one line of text to an incoming webhook of Slack.
func slack(ctx context.Context, c *http.Client, url string, e *notify.Event) notify.Answer {
	body, err := json.Marshal(map[string]string{"text": Title(e) + "\n" + facts(e)})
	if err != nil {
		return notify.Answer{Err: err}
	}
	return post(ctx, c, url, body, nil)
}

// Title is an event in a few words, for people.
func Title(e *notify.Event) string {
	get := func(name string) string { return fmt.Sprint(e.Data[name]) }
	who := "This gateway"
	if e.Account != "" {
		who = e.Account
		if n, ok := e.Data["account_name"]; ok {
			who = fmt.Sprint(n)
		}
	}
	what := map[string]string{
		notify.Low:           get("available") + " " + get("unit") + " are left (below " + get("threshold") + ")",
		notify.Exhausted:     "no credits are left",
		notify.Recovered:     "credits are available again: " + get("available") + " " + get("unit"),
		notify.Granted:       get("credits") + " " + get("unit") + " were added",
		notify.Expiring:      get("credits") + " " + get("unit") + " expire soon",
		notify.Expired:       get("credits") + " " + get("unit") + " have expired",
		notify.RunsOut:       "credits run out soon, at " + get("per_day") + " " + get("unit") + " a day",
		notify.OverageBegan:  "credits are used up, overage has begun",
		notify.OverageAbove:  "overage is above " + get("threshold") + ": " + get("overage") + " " + get("unit"),
		notify.PeriodClosed:  "a billing period has ended, with an overage of " + get("overage") + " " + get("unit"),
		notify.SubEnded:      "the subscription to " + get("plan") + " has ended",
		notify.Refunded:      get("credits") + " " + get("unit") + " were refunded",
		notify.Absorbed:      get("credits") + " " + get("unit") + " of a charge were not paid: the answer used more than was held and available",
		notify.KeyCreated:    "an API key was created",
		notify.PricesLoaded:  "new prices are in force",
		notify.PricesRefused: "a price file was refused",
		notify.LedgerProblem: "the ledger has a problem",
		notify.Test:          "this is a test",
	}[e.Type]
	return strings.Map(func(r rune) rune { // a name must not begin a line of its own
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, who+": "+what)
}

// facts are an event's data, a line each.
func facts(e *notify.Event) string {
	names := make([]string, 0, len(e.Data))
	for name := range e.Data {
		names = append(names, name)
	}
	sort.Strings(names)
	var s strings.Builder
	for _, name := range names {
		fmt.Fprintf(&s, "%s: %v\n", strings.ReplaceAll(name, "_", " "), e.Data[name])
	}
	return s.String()
}
