package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// heading begins the part of the page that is generated, to its end.
const heading = "\n## Reference\n"

// complete is the page with its reference part written anew.
func complete(page []byte) ([]byte, error) {
	head, _, found := bytes.Cut(page, []byte(heading))
	if !found {
		return nil, fmt.Errorf("the page has no line %q", strings.TrimSpace(heading))
	}
	var b bytes.Buffer
	b.Write(head)
	b.WriteString(heading)
	b.WriteString("\nEvery key, from the same definitions as the JSON Schema (`farebox meter prices schema`). Each example is loaded by a test.\n")
	for _, s := range pricefile.Sections {
		fmt.Fprintf(&b, "\n### %s\n\n", s.Title)
		if s.Text != "" {
			b.WriteString(s.Text + "\n\n")
		}
		b.WriteString("| Key | Type | Default | Example | Meaning |\n|---|---|---|---|---|\n")
		for _, k := range s.Keys {
			fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` | %s |\n", k.Name, cell(pricefile.TypeWords(k.Type)), code(k.Default), k.Name+": "+k.Example, cell(k.Doc))
		}
	}
	return b.Bytes(), nil
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// cell keeps a text from ending its cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
