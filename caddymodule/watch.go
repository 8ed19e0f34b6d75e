package caddymodule

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/health"
	"github.com/farebox-dev/farebox/meter/pricing"
)

const watchEvery = 2 * time.Second

// watcher looks at the content of the price file: modification times lie on
// network drives and mounted ConfigMaps. A change is taken when two looks agree,
// so that a file which is still being written is never half read.
type watcher struct {
	app     *App
	quit    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

func (a *App) startWatcher() *watcher {
	every := time.Duration(a.Watch)
	if every < 0 {
		return nil
	}
	if every == 0 {
		every = watchEvery
	}
	w := &watcher{app: a, quit: make(chan struct{})}
	w.stopped.Go(func() { w.run(every) })
	return w
}

func (w *watcher) stop() {
	w.once.Do(func() { close(w.quit) })
	w.stopped.Wait()
}

func (w *watcher) run(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	inForce, last := w.app.bookText, w.app.bookText
	misses := 0
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
		now, err := os.ReadFile(w.app.file)
		if err != nil {
			if misses++; misses == 2 { // at first, it may be about to be replaced
				inForce, last = nil, nil // so that the log also says when it is there again
				_ = w.app.reloadPrices(context.Background(), false)
			}
			continue
		}
		misses = 0
		if bytes.Equal(now, last) && !bytes.Equal(now, inForce) {
			inForce = now // also if it is wrong: it is reported once, not every two seconds
			_ = w.app.reloadPrices(context.Background(), false)
		}
		last = now
	}
}

// reloadPrices puts the price file in force as it is now. A wrong one changes
// nothing: the book that is loaded stays. Nor does, unless forced, one whose
// prices jump by more than max_change.
func (a *App) reloadPrices(ctx context.Context, force bool) error {
	text, book, err := readBook(a.file, a.log)
	old, since := a.engine.Book()
	if err == nil && !force {
		err = a.guard(old, book, a.engine.Now())
	}
	if err == nil {
		err = a.engine.Books.Set(ctx, book, text)
	}
	a.metrics.prices(err == nil)
	a.fileProblem.Store(onDisk{err})
	if err != nil {
		err = stillUsing(err, old, since)
		a.log.Error("prices.rejected: still using the price book that was loaded before", zap.Error(err))
		a.tellPrices(event.PricesRefused, old, map[string]any{"error": err.Error()})
		return err
	}
	a.log.Info("prices.loaded", zap.String("file", a.file), zap.String("digest", book.Digest))
	a.pricesLoaded(old, book)
	return nil
}

// onDisk is how the price file on disk is; an atomic.Value takes no nil.
type onDisk struct{ problem error }

// pricesState is the price file on disk as a part of the gateway's health.
func (a *App) pricesState() health.State {
	if on, _ := a.fileProblem.Load().(onDisk); on.problem != nil {
		return health.State{Status: health.Warning, Text: on.problem.Error() + "\nThe prices that were loaded before are in force.", Do: "correct the file; farebox meter prices check " + a.file + " says what is wrong"}
	}
	text := a.file + " is in force"
	if a.watch == nil {
		text += " as it was when it was loaded; watch is off"
	}
	return health.State{Status: health.OK, Text: text}
}

// pricesLoaded reports that new prices are in force.
func (a *App) pricesLoaded(old, book *pricing.Book) {
	if old.Digest != book.Digest {
		a.tellPrices(event.PricesLoaded, book, map[string]any{"before": old.Digest})
	}
}

// tellPrices posts an event about the price file; digest is that of the prices in force.
func (a *App) tellPrices(kind string, inForce *pricing.Book, data map[string]any) {
	data["file"], data["digest"] = filepath.Base(a.file), inForce.Digest
	what := fmt.Sprintf("%.12s-%d", inForce.Digest, a.engine.Now().UnixNano()) // the same file can come back into force
	if err := a.engine.Events.Post(context.Background(), "", kind, what, data); err != nil {
		a.log.Warn("telling of prices", zap.String("event", kind), zap.Error(err))
	}
}
