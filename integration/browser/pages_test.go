package browser

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axe finds violations of accessibility rules (Deque's axe-core, MPL 2.0).
//
//go:embed testdata/axe.min.js
var axe string

// view is a page as someone opens it, and a text that it must show.
type view struct{ name, path, shows string }

// laidOut are the pages whose narrow form is examined, too; variants those that
// show another page's parts once more.
var (
	laidOut  = []string{"overview", "usage", "charges", "account"}
	variants = []string{"usage-model-7d", "usage-member-24h", "as-customer", "nowhere"}
)

var portalViews = []view{
	{"overview", "/?account=acme", "What your balance pays for"},
	{"usage", "/usage?account=acme", "The same requests with cheaper models"},
	{"usage-model-7d", "/usage?period=7d&group_by=model", "claude-sonnet-4-5"},
	{"usage-member-24h", "/usage?period=24h&group_by=member&interval=hour", "By member"},
	{"charges", "/charges?operation=image", "refunded"},
	{"prices", "/prices", "per 1M input tokens"},
	{"estimator", "/estimator?mix=image~~30~!video~~50~!chat~gpt-5.4~100~&days=22&buffer=25", "15,840"},
	{"keys", "/keys", "Nightly batch"},
	{"team", "/team", "2,000 a month"},
	{"alerts", "/alerts", "20% of the period"},
	{"nowhere", "/nowhere", "This page does not exist"},
}

var consoleViews = []view{
	{"accounts", "/accounts", "Acme Studio"},
	{"account", "/accounts?open=acme", "the picture was blurred"},
	{"as-customer", "/?account=acme", "Latest charges"},
	{"plans", "/plans", "1,000 credits"},
	{"pricebook", "/pricebook", "file on disk is in force"},
	{"margin", "/margin?group_by=model", "gpt-5-mini"},
	{"ledger", "/ledger", "Not verified"},
	{"system", "/system", "Operator keys"},
}

func TestPortalPages(t *testing.T) {
	t.Parallel()
	d := start(t)
	looksAt(t, d.opens(t, d.mira), portalViews)
}

func TestConsolePages(t *testing.T) {
	t.Parallel()
	d := start(t)
	looksAt(t, d.opens(t, d.operator), consoleViews)
}

func TestDocumentationPages(t *testing.T) {
	t.Parallel()
	p := start(t).opens(t, "")
	for _, name := range []string{"", "pricing", "cli", "errors"} {
		p.do(emulation.SetDeviceMetricsOverride(390, 900, 1, true), chromedp.Navigate(p.d.base+"/docs/"+name))
		p.until("a document", `document.querySelector('h1') && location.pathname.endsWith('/docs/`+name+`')`)
		p.fits("docs-"+name, 390)
		p.do(emulation.SetDeviceMetricsOverride(1240, 900, 1, false))
		p.accessible("docs-"+name, "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
		p.shot("docs-" + name)
	}
}

// looksAt opens each page by its address, in both themes, wide and narrow.
func looksAt(t *testing.T, p *person, views []view) {
	for _, v := range views {
		p.goes(v.path)
		p.until(v.name+" shows "+v.shows, shows(v.shows))
		p.settled()
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int64{1240, 390} {
				if theme == "dark" && (slices.Contains(variants, v.name) || width < 700 && v.name != "overview") {
					continue
				}
				name := fmt.Sprintf("%s-%s-%d", v.name, theme, width)
				p.do(emulation.SetDeviceMetricsOverride(width, 900, 1, width < 700),
					chromedp.Evaluate(`document.documentElement.dataset.theme = '`+theme+`'; new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))`, nil, awaited))
				p.fits(name, width)
				switch {
				case theme == "dark" && width > 700: // the same elements in other colours
					p.accessible(name, "color-contrast")
				case theme == "light" && (width > 700 || slices.Contains(laidOut, v.name)):
					p.accessible(name)
				}
				p.shot(name)
			}
		}
		for _, problem := range p.problems() {
			t.Errorf("%s: %s", v.name, problem)
		}
	}
	p.do(emulation.SetDeviceMetricsOverride(1240, 900, 1, false))
}

// accessible runs axe-core on the page as it is: these rules, or all.
func (p *person) accessible(name string, rules ...string) {
	p.t.Helper()
	var there bool
	if p.do(chromedp.Evaluate(`!!window.axe`, &there)); !there {
		p.do(chromedp.Evaluate(axe+`; 0`, nil))
	}
	var violations []string
	if len(rules) == 0 {
		rules = []string{"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"}
	}
	p.await(`axe.run(document, {resultTypes: ['violations'], runOnly: ['`+strings.Join(rules, "', '")+`']}).then(r =>
		r.violations.map(v => v.id + ': ' + v.help + '\n' + v.nodes.slice(0, 3).map(n => '    ' + n.html.slice(0, 160) + '\n    ' + (n.any[0] || n.all[0] || n.none[0] || {}).message).join('\n')))`, &violations)
	if len(violations) > 0 {
		p.t.Errorf("%s: axe finds %d violations:\n%s", name, len(violations), strings.Join(violations, "\n"))
	}
}

// fits: nothing makes the page wider than the window; on a phone, innerWidth
// would grow with it.
func (p *person) fits(name string, width int64) {
	p.t.Helper()
	var wide string
	p.do(chromedp.Evaluate(fmt.Sprintf(`(width => document.documentElement.scrollWidth <= width ? '' : document.documentElement.scrollWidth + ' > ' + width + ': ' +
		[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 1 && !e.closest('.wrap, pre, nav, table')).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(' | '))(%d)`, width), &wide))
	if wide != "" {
		p.t.Errorf("%s is wider than the window: %s", name, wide)
	}
}
