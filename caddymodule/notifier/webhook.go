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

	"github.com/farebox-dev/farebox/meter/event"
)

// webhook posts an event as Standard Webhooks has it: id, timestamp and
// signature in headers, over exactly the bytes of the body.
func webhook(ctx context.Context, c *http.Client, url string, secrets [][]byte, e *event.Event) event.Answer {
	body, now := e.Body(), time.Now()
	return post(ctx, c, url, body, map[string]string{
		"webhook-id": e.ID, "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": event.Sign(secrets, e.ID, now, body),
	})
}

func post(ctx context.Context, c *http.Client, url string, body []byte, header map[string]string) event.Answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return event.Answer{Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Farebox-Webhook/1")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		return event.Answer{Err: err}
	}
	defer res.Body.Close()                                       //nolint:errcheck // nothing is read from it but its beginning
	text, _ := io.ReadAll(io.LimitReader(res.Body, 200))         // for the log of deliveries
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	a := event.Answer{Status: res.StatusCode, Gone: res.StatusCode == http.StatusGone}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		a.Err = fmt.Errorf("the endpoint answered %d %s", res.StatusCode, strings.ToValidUTF8(strings.TrimSpace(string(text)), "?"))
	}
	return a
}

// slack posts an event as one line of text to an incoming webhook of Slack.
func slack(ctx context.Context, c *http.Client, url string, e *event.Event) event.Answer {
	body, err := json.Marshal(map[string]string{"text": Title(e) + "\n" + facts(e)})
	if err != nil {
		return event.Answer{Err: err}
	}
	return post(ctx, c, url, body, nil)
}

// Title is an event in a few words, for people.
func Title(e *event.Event) string {
	get := func(name string) string { return fmt.Sprint(e.Data[name]) }
	who := "This gateway"
	if e.Account != "" {
		who = e.Account
		if n, ok := e.Data["account_name"]; ok {
			who = fmt.Sprint(n)
		}
	}
	what := map[string]string{
		event.Low:           get("available") + " " + get("unit") + " are left (below " + get("threshold") + ")",
		event.Exhausted:     "no credits are left",
		event.Recovered:     "credits are available again: " + get("available") + " " + get("unit"),
		event.Granted:       get("credits") + " " + get("unit") + " were added",
		event.Expiring:      get("credits") + " " + get("unit") + " expire soon",
		event.Expired:       get("credits") + " " + get("unit") + " have expired",
		event.RunsOut:       "credits run out soon, at " + get("per_day") + " " + get("unit") + " a day",
		event.OverageBegan:  "credits are used up, overage has begun",
		event.OverageAbove:  "overage is above " + get("threshold") + ": " + get("overage") + " " + get("unit"),
		event.PeriodClosed:  "a billing period has ended, with an overage of " + get("overage") + " " + get("unit"),
		event.SubEnded:      "the subscription to " + get("plan") + " has ended",
		event.Refunded:      get("credits") + " " + get("unit") + " were refunded",
		event.Absorbed:      get("credits") + " " + get("unit") + " of a charge were not paid: the answer used more than was held and available",
		event.KeyCreated:    "an API key was created",
		event.PricesLoaded:  "new prices are in force",
		event.PricesRefused: "a price file was refused",
		event.LedgerProblem: "the ledger has a problem",
		event.LedgerStopped: "paid requests are refused: " + get("problem"),
		event.LedgerResumed: "paid requests run again",
		event.Test:          "this is a test",
	}[e.Type]
	return strings.Map(func(r rune) rune { // a name must not begin a line of its own
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, who+": "+what)
}

// facts are an event's data, a line each.
func facts(e *event.Event) string {
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
