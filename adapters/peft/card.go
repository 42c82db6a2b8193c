package peft

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Card is what a reader of the model card is told beyond the adapter's own numbers. Lines, not prose: a card holds facts.
type Card struct {
	Title   string             // team/name
	Method  string             // sft, dpo …
	Run     string             // id
	Base    string             // digest
	Data    string             // digest of the data manifest
	Recipe  string             // digest of the resolved recipe
	Parent  string             // version that training started from
	Metrics map[string]float64 // candidate's, by SUITE.METRIC
	Against map[string]float64 // the base's, by the same names
	Gate    []string           // lines as decided, "pass: …" or "fail: …"

	adapter    Adapter
	modules    []module
	parameters int
	base       Base
}

func (c *Card) fill(a Adapter, modules []module, base Base) {
	c.adapter, c.modules, c.base = a, modules, base
	for _, t := range a.Tensors {
		c.parameters += len(t.Data)
	}
}

// render writes Markdown with the front matter that the Hugging Face hub reads.
func (c *Card) render() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\nbase_model: %s\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- lora\n- graft\n---\n\n", strconv.Quote(c.base.Name))
	fmt.Fprintf(&b, "# %s\n\n", line(c.Title))
	fmt.Fprintf(&b, "A LoRA adapter over `%s`: r %d, alpha %g, %d parameters on %d modules, F32.\n\n", line(c.base.Name), c.adapter.R, c.adapter.plainAlpha(), c.parameters, len(c.modules))
	b.WriteString("## Origin\n\n| | |\n|---|---|\n")
	for _, row := range [][2]string{{"method", c.Method}, {"run", c.Run}, {"parent", c.Parent}, {"base digest", c.Base}, {"data digest", c.Data}, {"recipe digest", c.Recipe}} {
		if row[1] != "" {
			fmt.Fprintf(&b, "| %s | `%s` |\n", row[0], line(row[1]))
		}
	}
	c.renderMetrics(&b)
	if len(c.Gate) > 0 {
		b.WriteString("\n## Gate\n\n")
		for _, g := range c.Gate {
			fmt.Fprintf(&b, "- %s\n", line(g))
		}
	}
	c.renderUse(&b)
	return b.Bytes()
}

func (c *Card) renderMetrics(b *bytes.Buffer) {
	if len(c.Metrics) == 0 {
		return
	}
	b.WriteString("\n## Evaluation\n\n| metric | this adapter | base |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		against := ""
		if v, ok := c.Against[name]; ok {
			against = fmt.Sprintf("%.6g", v)
		}
		fmt.Fprintf(b, "| %s | %.6g | %s |\n", line(name), c.Metrics[name], against)
	}
}

func (c *Card) renderUse(b *bytes.Buffer) {
	b.WriteString("\n## Use\n\n```python\nfrom peft import PeftModel\nmodel = PeftModel.from_pretrained(base, \"this directory\")\n```\n")
	if onExperts(c.modules) {
		fmt.Fprintf(b, "\nThe adapter on the experts is in the layout of PEFT %s or later over transformers 5. `%s/` holds the same\nadapter with one pair of matrices per expert, which vLLM reads.\n", peftVersion, PerExpertDir)
	}
}

// line keeps a value on one line and out of the table's syntax.
func line(s string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "|", "\\|", "`", "'").Replace(s)
}
