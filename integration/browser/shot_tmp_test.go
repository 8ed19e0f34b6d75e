package browser

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

func TestShot(t *testing.T) {
	if os.Getenv("SHOTS") == "" {
		t.Skip()
	}
	o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1240, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), o...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 120*time.Second)
	defer cancel()
	chromedp.ListenTarget(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			for _, a := range e.Args {
				fmt.Println("console:", string(a.Value), a.Description)
			}
		case *runtime.EventExceptionThrown:
			fmt.Println("exception:", e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			fmt.Println("log:", e.Entry.Text, e.Entry.URL)
		}
	})
	for _, spec := range strings.Split(os.Getenv("SHOTS"), ";") {
		// name|key|theme|width|url
		p := strings.Split(spec, "|")
		var w int64
		fmt.Sscan(p[3], &w)
		var buf []byte
		err := chromedp.Run(ctx,
			log.Enable(),
			emulation.SetDeviceMetricsOverride(w, 900, 1, w < 700),
			chromedp.Navigate(os.Getenv("BASE")+"/"),
			chromedp.Evaluate(`localStorage.setItem('farebox-theme','`+p[2]+`'); localStorage.setItem('farebox-zone','UTC'); fetch('`+os.Getenv("BASE")+`/v1/session',{method:'POST',headers:{'content-type':'application/json'},body:JSON.stringify({key:'`+p[1]+`'})}).then(r=>r.status)`, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
			chromedp.Navigate(os.Getenv("BASE")+p[4]),
			chromedp.Sleep(1200*time.Millisecond),
			chromedp.FullScreenshot(&buf, 100),
		)
		if err != nil {
			t.Error(p[0], err)
			continue
		}
		os.WriteFile("/tmp/uib/shot/"+p[0]+".png", buf, 0o600)
	}
}
