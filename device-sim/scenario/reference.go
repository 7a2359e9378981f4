package scenario

import (
	"fmt"
	"strings"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
)

// Reference lists the vocabulary, as docs/scenarios.md prints it.
func Reference() string {
	var b strings.Builder
	headings := map[script.Kind]string{
		script.Given: "Setting the scene (before everything else)",
		script.Act:   "What happens",
		script.See:   "What must be seen (now, or before the deadline)",
	}
	last := script.Kind(-1)
	for _, p := range Vocabulary().Phrases() {
		if p.Kind != last {
			fmt.Fprintf(&b, "%s\n\n", headings[p.Kind])
			last = p.Kind
		}
		fmt.Fprintf(&b, "    %s\n", p.Pattern)
		if p.About != "" {
			fmt.Fprintf(&b, "        %s\n", p.About)
		}
		b.WriteString("\n")
	}
	b.WriteString("What stands in the braces\n\n")
	for _, s := range Vocabulary().Slots() {
		fmt.Fprintf(&b, "    {%s}  %s\n", s.Name, s.Want)
	}
	return b.String()
}
