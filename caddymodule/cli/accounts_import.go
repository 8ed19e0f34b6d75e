package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

func (c *cli) importAccountsCommand() *cobra.Command {
	var format string
	cmd := command("import FILE", "Create accounts from a CSV file or lines of JSON, with plans, balances, members and keys", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.importFile(args[0], format)
	})
	cmd.Flags().StringVar(&format, "format", "", "csv or jsonl (default: by the name of the file; - is the standard input)")
	return cmd
}

func (c *cli) importFile(name, format string) error {
	if format == "" {
		format = strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
		if format == "ndjson" {
			format = "jsonl"
		}
	}
	if format != "csv" && format != "jsonl" {
		return &exit{exitInvalid, fmt.Errorf("%s: say what it is: --format csv or --format jsonl", name)}
	}
	file, size, err := openInput(name)
	if err != nil {
		return &exit{exitInvalid, err}
	}
	defer file.Close() //nolint:errcheck // only read from
	uri := "/meter/accounts/import?format=" + format
	if c.dryRun {
		uri += "&dry_run=true"
	}
	body := &counted{Reader: file}
	done := c.showProgress(body, size)
	res, err := c.send(http.MethodPost, uri, http.Header{}, io.NopCloser(body))
	done()
	if err != nil {
		return c.unreachable(http.MethodPost, uri, err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	var v api.ImportView
	if err := decodeAnswer(res, &v); err != nil {
		return err
	}
	if err := c.show(v, func(w *tabwriter.Writer) { printImport(w, &v) }); err != nil {
		return err
	}
	if v.Failed > 0 {
		return &exit{exitInvalid, fmt.Errorf("%s of %s: correct %s and import the file again; what is there stays as it is",
			api.Plural(v.Failed, "problem line"), name, map[bool]string{true: "it", false: "them"}[v.Failed == 1])}
	}
	return nil
}

// openInput opens a file to read; - is the standard input. size is 0 if it is not known.
func openInput(name string) (f *os.File, size int64, err error) {
	if name == "-" {
		return os.Stdin, 0, nil
	}
	if f, err = os.Open(name); err != nil { //nolint:gosec // the file that the operator names
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New(name + " is a directory; name a file")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// counted counts what was read. The server reads no faster than it imports.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// showProgress draws a bar on a terminal until done is called.
func (c *cli) showProgress(body *counted, size int64) (done func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		beat := time.NewTicker(200 * time.Millisecond)
		defer beat.Stop()
		for began := time.Now(); ; {
			select {
			case <-beat.C:
				c.progress("%s", bar(body.n.Load(), size, time.Since(began)))
			case <-stop:
				c.progress("")
				return
			}
		}
	}()
	return func() { close(stop); <-ended }
}

// bar is "importing  [#####.....]  50 %  1.2 of 2.4 MB  3s".
func bar(n, size int64, took time.Duration) string {
	mb := func(n int64) string { return fmt.Sprintf("%d.%d", n>>20, (n&(1<<20-1))*10>>20) }
	took = took.Round(time.Second)
	if size <= 0 {
		return fmt.Sprintf("importing  %s MB  %s", mb(n), took)
	}
	const width = 30
	filled := int(min(n, size) * width / size)
	return fmt.Sprintf("importing  [%s%s]  %d %%  %s of %s MB  %s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), min(n, size)*100/size, mb(n), mb(size), took)
}

func printImport(w *tabwriter.Writer, v *api.ImportView) {
	created := "created"
	if v.DryRun {
		created = "would create"
		fmt.Fprintln(w, "dry run, nothing was changed")
	}
	fmt.Fprintf(w, "%s\t%s, %s, %s\n", created, api.Plural(v.Created, "account"), api.Plural(v.Members, "member"), api.Plural(v.Keys, "key"))
	for _, plan := range slices.Sorted(maps.Keys(v.Plans)) {
		fmt.Fprintf(w, "  plan %s\t%d\n", orDash(plan), v.Plans[plan])
	}
	for _, kind := range slices.Sorted(maps.Keys(v.Balances)) {
		fmt.Fprintf(w, "  %s\t+%s %s\n", kind, v.Balances[kind], v.Unit)
	}
	if v.Unchanged > 0 {
		fmt.Fprintf(w, "unchanged\t%s, imported before\n", api.Plural(v.Unchanged, "account"))
	}
	if v.Failed > 0 {
		fmt.Fprintf(w, "not imported\t%s\n", api.Plural(v.Failed, "line"))
	}
	for _, p := range v.Problems {
		fmt.Fprintf(w, "  line %d\t%s\t%s\n", p.Line, orDash(p.Account), p.Problem)
	}
	if v.More > 0 {
		fmt.Fprintf(w, "  and %s\n", api.Plural(v.More, "further problem"))
	}
}
