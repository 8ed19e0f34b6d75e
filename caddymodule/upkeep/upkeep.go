// Package upkeep runs the upkeep of a ledger on a schedule, as the Caddyfile says.
package upkeep

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter/upkeep"
)

// Retention is the option retention.
type Retention struct {
	// Keep is how long entries of the journal and charges stay at least.
	Keep caddy.Duration `json:"keep"`
	// Export is a directory that gets what leaves; "" for none.
	Export string `json:"export,omitempty"`
}

// Config is when the ledger is made smaller.
type Config struct {
	// Retention lets entries and charges go that are older; nil: they stay.
	Retention *Retention `json:"retention,omitempty"`
	// Compact is a time of day ("03:30", the machine's) or an interval ("12h"); "" is never.
	Compact string `json:"compact,omitempty"`
}

// ParseRetention reads: retention <duration> [export <dir>].
func (c *Config) ParseRetention(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && (len(args) != 3 || args[1] != "export") {
		return d.Err("retention takes a duration, and a directory if what leaves is to be kept there: retention 400d export ./journal")
	}
	keep, err := caddy.ParseDuration(args[0])
	if err != nil || keep < upkeep.MinKeep {
		return d.Errf("retention %q: write a duration of at least %s, such as 400d", args[0], upkeep.MinKeep)
	}
	c.Retention = &Retention{Keep: caddy.Duration(keep)}
	if len(args) == 3 {
		c.Retention.Export, err = filepath.Abs(args[2])
	}
	return err
}

// ParseCompact reads: compact <time of day>|<interval>.
func (c *Config) ParseCompact(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&c.Compact) {
		return d.ArgErr()
	}
	if _, err := after(c.Compact, time.Now()); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

// daily is when a ledger with a retention, but without compact, is looked at.
const daily = "24h"

// after is when a schedule is due next.
func after(schedule string, now time.Time) (time.Time, error) {
	if at, err := time.Parse("15:04", schedule); err == nil {
		next := time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), 0, 0, now.Location())
		if !next.After(now) {
			next = time.Date(now.Year(), now.Month(), now.Day()+1, at.Hour(), at.Minute(), 0, 0, now.Location())
		}
		return next, nil
	}
	every, err := caddy.ParseDuration(schedule)
	if err != nil || every < time.Minute {
		return time.Time{}, fmt.Errorf("compact %q: write a time of day, such as 03:30, or an interval of at least a minute, such as 12h", schedule)
	}
	return now.Add(every), nil
}

// Policy is the retention for the ledger.
func (c *Config) Policy(decimals int) upkeep.Retention {
	if c.Retention == nil {
		return upkeep.Retention{}
	}
	return upkeep.Retention{Keep: time.Duration(c.Retention.Keep), Export: c.Retention.Export, Decimals: decimals}
}

// Runner runs it until it is stopped.
type Runner struct {
	stop context.CancelFunc
	done sync.WaitGroup
}

// Start begins; with a wrong schedule, which Provision refuses, it does nothing.
func (c *Config) Start(u *upkeep.Upkeep, log *zap.Logger) *Runner {
	ctx, stop := context.WithCancel(context.Background())
	r := &Runner{stop: stop}
	schedule := c.Compact
	if schedule == "" && c.Retention != nil {
		schedule = daily
	}
	if schedule == "" {
		return r
	}
	r.done.Go(func() {
		last := u.Last() // of this process: a reload does not put off an interval
		for {
			next, err := after(schedule, last)
			if err != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(next)):
			}
			run(ctx, u, log)
			last = time.Now()
		}
	})
	return r
}

// Check says what is wrong with the schedule of a configuration that is no Caddyfile.
func (c *Config) Check() error {
	if c.Retention != nil && time.Duration(c.Retention.Keep) < upkeep.MinKeep {
		return fmt.Errorf("retention: keep is %s; write at least %s", time.Duration(c.Retention.Keep), upkeep.MinKeep)
	}
	if c.Compact == "" {
		return nil
	}
	_, err := after(c.Compact, time.Now())
	return err
}

// Stop ends it. What runs stops between two commits.
func (r *Runner) Stop() {
	r.stop()
	r.done.Wait()
}

func run(ctx context.Context, u *upkeep.Upkeep, log *zap.Logger) {
	began := time.Now()
	d, err := u.Run(ctx, false)
	if ctx.Err() != nil {
		return
	}
	fields := []zap.Field{zap.Int("entries", d.Entries), zap.Int("charges", d.Charges), zap.Int("accounts", d.Accounts), zap.Duration("took", time.Since(began)),
		zap.String("size", humanize.Bytes(uint64(max(0, d.Size)))), zap.String("before", humanize.Bytes(uint64(max(0, d.SizeBefore))))}
	if d.File != "" {
		fields = append(fields, zap.String("file", d.File))
	}
	if len(d.Problems) > 0 {
		log.Error("upkeep: some accounts do not verify, nothing of them leaves", zap.String("problems", strings.Join(d.Problems[:min(5, len(d.Problems))], "; ")))
	}
	if err != nil {
		log.Error("upkeep failed; it is tried again at the next time", append(fields, zap.Error(err))...)
		return
	}
	log.Info("upkeep.done", fields...)
}
