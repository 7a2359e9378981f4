package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/fleet/report"
)

func pageOf(t *testing.T, in report.Input) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.New(in).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The page says what the report says, and what was killed.
func TestPage(t *testing.T) {
	page := pageOf(t, input())
	for _, want := range []string{
		"Nothing was lost, and no phone rang twice.", ">bridge2</span>", ">broker</span>", ">99.50 %<", "refused: 2 interrupted, 1 provider unavailable.",
		"1000 sign-ins of 500 devices", `lang="en"`, "viewport", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	in := input()
	in.SignIns[9].Outcome = report.Lost
	if page := pageOf(t, in); !strings.Contains(page, `class="verdict bad">1 request was lost, and 0 second pushes.`) {
		t.Error("a loss is not the verdict")
	}
}

// The page needs nothing from anywhere, and runs nothing.
func TestPageIsAlone(t *testing.T) {
	page := pageOf(t, input())
	if found := regexp.MustCompile(`(?i)https?:|\bsrc=|<link|<script|@import|url\(|<iframe|<form`).FindString(page); found != "" {
		t.Errorf("the page holds %q", found)
	}
}

// What others have named cannot become a part of the page.
func TestPageEscapes(t *testing.T) {
	in := input()
	in.SignIns[2].Code, in.Setup.Store = "<b>code", `"><i>store`
	if page := pageOf(t, in); strings.Contains(page, "<b>") || strings.Contains(page, "<i>") {
		t.Error("a code or a store has become a tag")
	}
}

// Every tag is closed where it should be, every id is there once, what a label
// points to exists, and what scrolls can be reached by keyboard and has a name.
func TestPageStructure(t *testing.T) {
	page := pageOf(t, input())
	page = regexp.MustCompile(`<!DOCTYPE html>|<meta [^>]*>`).ReplaceAllString(page, "") // all that is no XML
	d := xml.NewDecoder(strings.NewReader(page))
	ids, labels, headings := map[string]int{}, []string{}, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attr := map[string]string{}
		for _, a := range start.Attr {
			attr[a.Name.Local] = a.Value
		}
		if id := attr["id"]; id != "" {
			ids[id]++
		}
		if l := attr["aria-labelledby"]; l != "" {
			labels = append(labels, l)
		}
		if strings.Contains(attr["class"], "scroll") && (attr["tabindex"] != "0" || attr["aria-label"] == "" || attr["role"] != "region") {
			t.Errorf("something scrolls that has no name or cannot be reached: %v", attr)
		}
		if start.Name.Local == "h1" {
			headings++
		}
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("id %q is there %d times", id, n)
		}
	}
	for _, l := range labels {
		if ids[l] == 0 {
			t.Errorf("nothing has the id %q", l)
		}
	}
	if len(labels) != 3 || headings != 1 {
		t.Errorf("%d charts and %d main headings, want 3 and 1", len(labels), headings)
	}
}
