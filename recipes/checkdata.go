package recipes

import (
	"fmt"
	"slices"
	"strings"
)

func (d *decoder) checkData(r *Recipe) {
	if r.Method == DPO && r.Data.SamplePacking {
		d.faultAt("data.sample_packing", "not available yet: packing pairs (leave the line out)")
	}
	if d.written("data.datasets") && len(r.Data.Datasets) == 0 && d.good("data.datasets") {
		d.faultAt("data.datasets", "names no data")
	}
	seen := map[string]int{}
	for i, set := range r.Data.Datasets {
		at := fmt.Sprintf("data.datasets[%d]", i)
		if first, ok := seen[set.Name]; ok && set.Name != "" {
			d.faultAt(at+".name", "%s is the name of data.datasets[%d] too", quote(set.Name), first)
		}
		if _, ok := seen[set.Name]; !ok {
			seen[set.Name] = i
		}
		d.checkDataset(set, r.Method, at)
	}
}

func (d *decoder) checkDataset(set Dataset, method, at string) {
	if d.written(at+".name") && d.good(at+".name") && !nameRule.MatchString(set.Name) {
		d.faultAt(at+".name", "must be lower-case letters, digits, and - . _ between them (got %s)", quote(set.Name))
	}
	if d.written(at+".path") && d.good(at+".path") {
		d.faultIf(checkPath(set.Path), at+".path")
	}
	typ := set.Type
	if !d.good("method") || !d.good(at+".type") {
		return
	}
	switch {
	case typ == "" && method == SFT:
		d.faultAt(at+".type", "missing: one of messages, prompt-completion, text")
		return
	case method == SFT && typ == Preference:
		d.faultAt(at+".type", "preference data are for method dpo (method is sft)")
	case method == DPO && typ != Preference:
		d.faultAt(at+".type", "method dpo needs preference data (got %s)", typ)
	}
	d.checkColumns(set.Columns, typ, at+".columns")
}

func (d *decoder) checkColumns(c Columns, typ, at string) {
	reads := c.of(typ)
	used := map[string]string{}
	for _, f := range FieldsOf(c) {
		p := join(at, f.Name)
		if !d.written(p) {
			continue
		}
		column, ok := reads[f.Name]
		switch {
		case !ok:
			d.faultAt(p, "is not a column of type %s", typ)
		case *column == "":
			d.faultAt(p, "must not be empty: leave the line out for the usual name")
		case used[*column] != "":
			d.faultAt(p, "column %s is %s already", quote(*column), used[*column])
		default:
			used[*column] = f.Name
		}
	}
}

func checkPath(s string) error {
	scheme, _, isURI := strings.Cut(s, "://")
	switch {
	case strings.TrimSpace(s) == "":
		return fmt.Errorf("must name Parquet files")
	case isURI && scheme != "s3" && scheme != "file":
		return fmt.Errorf("%s:// is not available yet: s3://, file:// or a path", scheme)
	case strings.Contains(s, "**"):
		return fmt.Errorf("** is not available: * matches within one folder (got %s)", quote(s))
	case !strings.HasSuffix(s, ".parquet") && !strings.ContainsAny(s, "*?") && strings.Contains(lastElement(s), "."):
		return fmt.Errorf("only Parquet files can be read (got %s)", quote(s))
	}
	return nil
}

func lastElement(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// metrics that a suite yields, by kind of data.
var metrics = map[string][]string{
	SFT: {"loss", "perplexity"},
	DPO: {"loss", "perplexity", "preference_accuracy"},
}

func (d *decoder) checkEvaluate(r *Recipe) {
	e := r.Evaluate
	for i, s := range e.Suites {
		at := "evaluate.suites"
		if d.written(fmt.Sprintf("%s[%d]", at, i)) {
			at = fmt.Sprintf("%s[%d]", at, i)
		}
		switch {
		case s != "holdout":
			d.faultAt(at, "not available yet: registered suites (holdout is)")
		case i > 0:
			d.faultAt(at, "%s is named twice", s)
		}
	}
	if len(e.Suites) == 0 && d.written("evaluate.suites") && d.good("evaluate.suites") {
		d.faultAt("evaluate.suites", "names no suite: leave the line out for holdout")
	}
	for i, g := range e.Gate {
		if at := fmt.Sprintf("evaluate.gate[%d]", i); d.good(at) {
			d.checkGate(r, g, at)
		}
	}
}

func (d *decoder) checkGate(r *Recipe, g GateLine, at string) {
	switch {
	case g.Suite != "holdout":
		d.faultAt(at, "not available yet: the suite %s (holdout is)", g.Suite)
	case r.Data.Split.Holdout == 0 && d.good("data.split"):
		d.faultAt(at, "nothing is held out: data.split.holdout is 0")
	}
	names := metrics[r.Method]
	switch {
	case names == nil || slices.Contains(names, g.Metric):
	case slices.Contains(metrics[DPO], g.Metric):
		d.faultInside(at, g.metricAt, "%s is a metric of pairs: method %s has %s", g.Metric, r.Method, oneOf(names))
	default:
		d.faultInside(at, g.metricAt, "unknown metric %s: %s%s", g.Metric, oneOf(names), didYouMean(nearest(g.Metric, names)))
	}
}
