package pricefile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// file is a small price file with more lines in it.
func file(extra string) string {
	return "version: 1\ncredit: {name: credit, decimals: 2, worth: 1 USD}\noperations:\n  chat: {match: POST /v1/chat, price: 1}\n" + extra
}

// TestMessages has every message of the design once, exactly, with its place.
func TestMessages(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "version: 1\ncredit: {name: credit}\noperations:\n  ai-listing-generator:\n    match: POST /a\n    pricee: 1\n    price: 1\n", `
pricing.yaml:6:5: operations.ai-listing-generator: unknown key "pricee"; did you mean "price"?
    6 |     pricee: 1
      |     ^~~~~~`},
		{"money", file("packs:\n  smart-200:\n    credits: 1\n    price: $5\n"), `
pricing.yaml:8:12: packs.smart-200.price: "$5" is not an amount of money; write "5 USD"
    8 |     price: $5
      |            ^~`},
		{"duration", file("packs:\n  smart-200:\n    credits: 1\n    price: 5 USD\n    expires: 90d\n"), `
pricing.yaml:9:14: packs.smart-200.expires: "90d" is not a duration; write "90 days"
    9 |     expires: 90d
      |              ^~~`},
		{"space", "version: 1\ncredit: {name: credit}\noperations:\n  background-removal:\n    match: POST /a\n    price:{per_photo: 1}\n", `
pricing.yaml:6:5: operations.background-removal: "price:{per_photo: 1}" needs a space after "price:"
    6 |     price:{per_photo: 1}
      |     ^~~~~~`},
		{"currency", "version: 1\ncredit:\n  name: credit\n  worth: 0.025\noperations:\n  a: {match: /a, price: 1}\n", `
pricing.yaml:4:10: credit.worth: 0.025 has no currency; write "0.025 USD"
    4 |   worth: 0.025
      |          ^~~~~`},
		{"slash", file("  ask-otto:\n    match: POST api/otto/ask\n    price: 1\n"), `
pricing.yaml:6:12: operations.ask-otto.match: the path must start with "/"; did you mean "POST /api/otto/ask"?
    6 |     match: POST api/otto/ask
      |            ^~~~~~~~~~~~~~~~~`},
		{"comma", file("packs:\n  smart-200:\n    credits: 1,000\n    price: 5 USD\n"), `
pricing.yaml:7:14: packs.smart-200.credits: "1,000" has a comma; write 1000 or 1_000
    7 |     credits: 1,000
      |              ^~~~~`},
		{"percent", file("alerts:\n- below: 20 percent\n"), `
pricing.yaml:6:3: alerts[0].below: "20 percent"; write "20%"
    6 | - below: 20 percent
      |   ^~~~~`},
		{"every", file("plans:\n  crosslisting-plus:\n    credits: [{type: free, amount: 1, every: monthly}]\n"), `
pricing.yaml:7:46: plans.crosslisting-plus.credits[0].every: "monthly" is not one of hour, day, week, month, quarter, year; did you mean "month"?
    7 |     credits: [{type: free, amount: 1, every: monthly}]
      |                                              ^~~~~~~`},
		{"exclude", file("plans:\n  plus: {credits: [{type: free, amount: 1, every: month, expires: 90 days}]}\n"), `
pricing.yaml:6:20: plans.plus.credits[0]: "every" and "expires" exclude each other; renewed credits end at renewal (or "rollover: all")
    6 |   plus: {credits: [{type: free, amount: 1, every: month, expires: 90 days}]}
      |                    ^`},
		{"measure", file("  upscale:\n    match: POST /v1/upscale\n    price: {per_image: 1}\n"), `
pricing.yaml:7:12: operations.upscale.price: per_image is charged, but "measure" has no "image"
    7 |     price: {per_image: 1}
      |            ^`},
		{"misspelled unit", file("  upscale:\n    match: POST /v1/upscale\n    measure: {image: {from: body.n}}\n    price: {per_imag: 1}\n"), `
pricing.yaml:8:12: operations.upscale.price: per_imag is charged, but "measure" has no "imag"; did you mean "per_image"?
    8 |     price: {per_imag: 1}
      |            ^`},
		{"draw order", file("packs:\n  smart-200: {credits: 1, price: 5 USD}\ndraw_order: [free]\n"), `
pricing.yaml:7:13: draw_order: type "top_up" is used by packs.smart-200 but missing here
    7 | draw_order: [free]
      |             ^`},
		{"twice", file("models:\n  gpt-5-mini: {per_image: 1}\n  gpt-5-mini: {per_image: 2}\n"), `
pricing.yaml:7:3: models."gpt-5-mini" is defined twice; first at 6:3
    7 |   gpt-5-mini: {per_image: 2}
      |   ^~~~~~~~~~`},
		{"default plan", file("plans:\n  free: {}\ndefault_plan: fre\n"), `
pricing.yaml:7:15: default_plan: there is no plan "fre"; did you mean "free"?
    7 | default_plan: fre
      |               ^~~`},
		{"never", file("  image: {match: POST /v1/image*, price: 1}\n  image-hd: {match: POST /v1/image/hd, price: 2}\n"), `
pricing.yaml:6:3: warning: operations.image-hd can never match: operations.image (5:3) comes first and matches everything it does
    6 |   image-hd: {match: POST /v1/image/hd, price: 2}
      |   ^~~~~~~~`},
		{"maximum", file("models:\n  gpt-5.4: {per_1k_tokens: {input: 1, output: 2}}\n"), `
pricing.yaml:6:3: warning: models.gpt-5.4 has no max_output_tokens; 4096 tokens are held when a request sets no limit
    6 |   gpt-5.4: {per_1k_tokens: {input: 1, output: 2}}
      |   ^~~~~~~`},
		{"cached", file("models:\n  claude-haiku-4-5:\n    per_1m_tokens: {input: 0.01, cached_input: 0.10}\n"), `
pricing.yaml:7:5: warning: models.claude-haiku-4-5 prices cached_input above input (0.10 > 0.01); is a decimal missing?
    7 |     per_1m_tokens: {input: 0.01, cached_input: 0.10}
      |     ^~~~~~~~~~~~~`},
		{"space in a plain scalar", "version: 1\ncredit: {name: credit}\noperations:\n  a:\n    match: /a\n    price:1\n", `
pricing.yaml:6:5: "price:1" needs a space after "price:"
    6 |     price:1
      |     ^~~~~~`},
		{"star", file("models:\n  *-pro: {per_image: 1}\n"), `
pricing.yaml:6:3: a name that begins with "*" needs quotes; write "*-pro"
    6 |   *-pro: {per_image: 1}
      |   ^~~~~`},
		{"decimals", file("packs:\n  p: {credits: 0.125, price: 5 USD}\n"), `
pricing.yaml:6:16: packs.p.credits: 0.125 has more decimals than credit.decimals (2) keeps
    6 |   p: {credits: 0.125, price: 5 USD}
      |                ^~~~~`},
		{"unit in when", file("  b:\n    match: /b\n    measure: {sheet: body.n}\n    price: {per_sheet: 1}\n    adjust: [{when: {shet: {above: 1}}, times: 2}]\n"), `
pricing.yaml:9:22: operations.b.adjust[0].when: unknown key "shet"; did you mean "sheet"?
    9 |     adjust: [{when: {shet: {above: 1}}, times: 2}]
      |                      ^~~~`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, problems := pricefile.Load("pricing.yaml", []byte(c.text))
			got := strings.TrimSuffix(problems.String(), "\n")
			if !strings.Contains("\n"+got+"\n", c.want+"\n") {
				t.Errorf("got\n%s\nwant%s", got, c.want)
			}
			if problems.Errors()+problems.Warnings() != 1 && c.name != "exclude" {
				t.Errorf("more than the one problem:\n%s", got)
			}
		})
	}
}

// TestRefusedFiles has what the loader must not take, with a part of what it
// says about it.
func TestRefusedFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "the file is empty",
		strings.Repeat("[", 1_000_000):  "too many brackets",
		strings.Repeat("- ", 1_000_000): "has more than",
		"- a\n":                         "a price file is a mapping",
		"version: 1\n":                  `"credit" is missing`,
		"\x80":                          "not UTF-8",
		file("") + "---\na: 1":          "second document",
		strings.Replace(file(""), "version: 1", "version: 2", 1): "not a version of this format",
		file("colour: red\n"):                                                                                                `unknown key "colour"`,
		file("markup: 0.2\n"):                                                                                                "is not a percentage",
		file("markup: -5%\n"):                                                                                                "is not a percentage",
		file("  b: {match: /b}\n"):                                                                                           `"price" is missing`,
		file("  b: {price: 1}\n"):                                                                                            `"match" is missing`,
		file("  b: {match: /b, price: -1}\n"):                                                                                "is negative",
		file("  b: {match: /b, price: by_modle}\n"):                                                                          `did you mean "by_model"?`,
		file("  b: {match: /b, price: 1e3}\n"):                                                                               "is not a number",
		file("  b: {match: post /b, price: 1}\n"):                                                                            `did you mean "POST /b"?`,
		file("  b: {match: GTE /b, price: 1}\n"):                                                                             `"GTE" is not a method; did you mean "GET"?`,
		file("  b: {match: /b%20c, price: 1}\n"):                                                                             "decoded path",
		file("  B!: {match: /b, price: 1}\n"):                                                                                "can't be a name here",
		file("  b: {match: /b, price: {per_1k_tokens: {inputs: 1}}}\n"):                                                      `did you mean "input"?`,
		file("  b: {match: /b, price: {per_token: 1, per_1k_tokens: 1}}\n"):                                                  "given twice",
		file("  b: {match: /b, price: {per-request: 1}}\n"):                                                                  `did you mean "per_request"?`,
		file("  b: {match: /b, price: {minimum: 5, maximum: 2}}\n"):                                                          "minimum is above maximum",
		file("  b: {match: /b, price: 1, quantity: body}\n"):                                                                 "is not a field",
		file("  b: {match: /b, price: 1, quantity: \"body.a[0]\"}\n"):                                                        "is not a JSON path",
		file("  b: {match: /b, price: 1, quantity: path.x}\n"):                                                               "number of a path segment",
		file("  b: {match: /b, price: 1, quantity: {from: body.n, min: 3, max: 2}}\n"):                                       "max is less than min",
		file("  b: {match: /b, price: 1, where: {response.status: 200}}\n"):                                                  "not known when a request arrives",
		file("  b: {match: /b, price: 1, adjust: [{when: {body.a: 1}}]}\n"):                                                  `"times" or "price" is missing`,
		file("  b: {match: /b, price: 1, adjust: [{when: {body.a: 1}, times: 1, price: 2}]}\n"):                              "exclude each other",
		file("  b: {match: /b, price: 1, adjust: [{when: {body.a: {over: 1}}, times: 1}]}\n"):                                `unknown key "over"`,
		file("  b: {match: /b, price: 1, adjust: [{when: {hours: 22-6}, times: 1}]}\n"):                                      "is not a time of day",
		file("  b: {match: /b, price: 1, adjust: [{when: {days: [saturday]}, times: 1}]}\n"):                                 "is not one of mon",
		file("  b: {match: /b, price: 1, adjust: [{when: {days: sat, timezone: Mars}, times: 1}]}\n"):                        "is not a time zone",
		file("  b: {match: /b, price: 1, job: {id: response.body.id, status: GET /b, failed_when: {response.body.s: x}}}\n"): `must contain "{id}"`,
		file("  b: {match: /b, price: 1, free_tier: {request: 5}}\n"):                                                        `"every" is missing`,
		file("models:\n  a: {like: b, per_image: 1}\n  b: {like: a}\n"):                                                      "like each other",
		file("models:\n  a: {like: c}\n"):                                                                                    `there is no model "c"`,
		file("models:\n  a: {name: A}\n"):                                                                                    "has no rates",
		file("models:\n  a: {per_image: 1, max_output_tokens: 0}\n"):                                                         "must be at least 1",
		file("policies: {unlisted_model: x}\n"):                                                                              `there is no model "x"`,
		file("policies: {timezone: Local}\n"):                                                                                "is not a time zone",
		file("policies: {refund_on: [6xx]}\n"):                                                                               `did you mean "4xx"?`,
		file("policies: {hold: ceilling}\n"):                                                                                 `did you mean "ceiling"?`,
		file("policies: {clamp_output: yes}\n"):                                                                              "is not true or false",
		file("plans: {p: {price: 5}}\n"):                                                                                     "has no currency",
		file("plans: {p: {price: 5 USD / mont}}\n"):                                                                          `did you mean "month"?`,
		file("plans: {p: {overage: {limit: 5}}}\n"):                                                                          "has no effect without",
		file("plans: {p: {discount: 120%}}\n"):                                                                               "more than everything",
		file("plans: {p: {allow: {}}}\n"):                                                                                    "selects nothing",
		file("plans: {p: {caps: [{per: team, amount: 1, every: day}]}}\n"):                                                   "is not one of account, member, key",
		file("plans: {p: {max_concurrent: {account: 0}}}\n"):                                                                 "must be at least 1",
		file("plans: {p: {max_concurrent: {}}}\n"):                                                                           "limits nothing; write {account: 20}",
		file("plans: {p: {max_concurrent: 5}}\n"):                                                                            "max_concurrent",
		file("plans: {p: {max_concurrent: {key: 2_000_000}}}\n"):                                                             "is more than 1000000",
		file("plans: {p: {max_concurrent: {kex: 2}}}\n"):                                                                     "kex",
		file("plans: {p: {credits: [{type: Free, amount: 1}]}}\n"):                                                           "is not a type of credits",
		file("packs: {p: {credits: by_price, price: 1 EUR}}\n"):                                                              "credit.worth in USD",
		file("packs: {p: {credits: 1, price: 5 USD to 1 USD}}\n"):                                                            "ends below its start",
		file("packs: {p: {credits: 1, price: 5 USD, only_plans: [x]}}\n"):                                                    `there is no plan "x"`,
		file("alerts: [{below: 5, overage_above: 1}]\n"):                                                                     "an alert has one of",
		file("links: {top_up: \"javascript:alert(1)\"}\n"):                                                                   "is not a link",
		file("  b: {match: /v1/chat/completions, price: by_model}\nmodels: {m: {per_images: 1}}\n"):                          `no answer reports "images", so it would never be charged; did you mean "per_image"?`,
		file("  b: {match: /b, price: 1, adjust: [{when: {body.n: {above: 5, below: 5}}, times: 2}]}\n"):                     "no number is within these bounds",
		file("  b: {match: /b, price: 1, adjust: [{when: {body.n: {at_least: 6, at_most: 5}}, times: 2}]}\n"):                "no number is within these bounds",
		file("  b: {match: /b, price: 1, quantity: {from: body.n, default: 50, max: 2}}\n"):                                  "is not between min and max",
		file("  b: {match: /b, price: 1, quantity: {from: body.n, default: 0, min: 1}}\n"):                                   "is not between min and max",
		file("  b: {match: /b, price: 1, job: {id: body.id, status: \"GET /b/{id}\", failed_when: {response.body.s: x}}}\n"): "is known before there is a job",
		file("policies: {refund_when: {body.test: true}}\n"):                                                                 "so a client could",
		file("  b: {match: \"POST https://api.example.com/v1/b\", price: 1}\n"):                                              `did you mean "POST /v1/b"?`,
		file("labels: {l: response.body.x}\n"):                                                                               "from the request",
		file("plans: {p: {metadata: &a {x: *a}}}\n"):                                                                         "there is no anchor",
	} {
		book, problems := pricefile.Load("pricing.yaml", []byte(text))
		if book != nil || !strings.Contains(problems.String(), want) {
			t.Errorf("%q:\n%swant %s", text, problems, want)
		}
	}
}

// What is loaded, but is never charged, is said.
func TestUnitsThatAreNeverCharged(t *testing.T) {
	for text, want := range map[string]string{
		file("  b: {match: /v1/chat/completions, price: by_model}\nmodels: {m: {per_1k_tokens: 1, per_minute: 1}}\n"): "let the operation measure it, or write one of per_",
		file("  b: {match: /v1/chat/completions, price: by_model}\nmodels: {m: {per_1k_tokens: 1, per_page: 1}}\n"):   "no operation that is priced by_model reports page",
		file("  b: {match: /v1/ocr, price: by_model}\nmodels: {m: {per_page: 1}}\n"):                                  "",
		file("  b: {match: /b, price: by_model, measure: {minute: body.n}}\nmodels: {m: {per_minute: 1}}\n"):          "",
	} {
		book, problems := pricefile.Load("pricing.yaml", []byte(text))
		if said := strings.Contains(problems.String(), "never charged"); book == nil || said != (want != "") || !strings.Contains(problems.String(), want) {
			t.Errorf("%q:\n%swant %s", text, problems, want)
		}
	}
}

// TestAllProblemsAtOnce: errors first, in the order of the file, then warnings.
func TestAllProblemsAtOnce(t *testing.T) {
	text := file("  b: {match: b, price: x}\nmodels:\n  m: {per_1k_tokens: -1}\npacks: {p: {credits: 1, price: $5}}\n")
	_, problems := pricefile.Load("pricing.yaml", []byte(text))
	if problems.Errors() != 4 || problems.Summary() != "4 errors, 0 warnings" {
		t.Fatalf("%s\n%s", problems.Summary(), problems)
	}
	for i := 1; i < len(problems); i++ {
		if problems[i].Line < problems[i-1].Line {
			t.Errorf("not in order:\n%s", problems)
		}
	}
}

// TestAliases: anchors, aliases and merges are understood, bombs are refused.
func TestAliases(t *testing.T) {
	text := file("  b: {match: /b, price: &p {per_request: 2}}\n  c: {match: /c, price: *p}\n  d:\n    match: /d\n    price:\n      <<: *p\n      minimum: 1\n")
	book, problems := pricefile.Load("pricing.yaml", []byte(text))
	if book == nil {
		t.Fatal(problems)
	}
	if words := book.Operation("d").Price.Words(); words != "2 per request, at least 1" {
		t.Errorf("merged price: %s", words)
	}
	var bomb strings.Builder
	bomb.WriteString("a: &a [x,x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c <= 'k'; c++ {
		bomb.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "*" + string(c-1) + "]\n")
	}
	if book, problems := pricefile.Load("pricing.yaml", []byte(bomb.String())); book != nil || !strings.Contains(problems.String(), "too large") {
		t.Errorf("bomb: %s", problems.Summary())
	}
}

func TestExamplesLoad(t *testing.T) {
	files, _ := filepath.Glob("../../../testdata/pricing/examples/*.yaml")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		book, problems := pricefile.Load(name, text)
		if book == nil {
			t.Errorf("%s", problems)
			continue
		}
		if len(book.Digest) != 64 || len(book.PricesList()) == 0 {
			t.Errorf("%s: digest %q, %d prices", name, book.Digest, len(book.PricesList()))
		}
		// Editors read YAML 1.2, in which 1_000 is a text: it means the same.
		quoted := strings.ReplaceAll(string(text), " 1_000,", ` "1_000",`)
		if again, problems := pricefile.Load(name, []byte(quoted)); again == nil {
			t.Errorf("quoted: %s", problems)
		}
	}
}
