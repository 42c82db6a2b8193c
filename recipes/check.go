package recipes

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	_ "time/tzdata" // a time zone is right or wrong on every machine alike
)

// check reports what the schema's tags cannot say: names, and how fields fit each other. Defaults are
// filled in already; written tells them from what stands in the file.
func (d *decoder) check(r *Recipe) {
	d.checkNames(r)
	d.checkMethod(reflect.ValueOf(*r), r.Method, "")
	d.checkAdapter(r.Adapter)
	d.checkData(r)
	d.checkTrain(r.Train, r.Method)
	d.checkEvaluate(r)
	d.checkPublish(r.Publish)
	d.checkSchedule(r.Schedule)
}

func (d *decoder) faultIf(err error, path string) {
	if err != nil {
		d.faultAt(path, "%v", err)
	}
}

func (d *decoder) checkNames(r *Recipe) {
	if d.good("variant") {
		if strings.Contains(r.Variant, "@") {
			d.faultAt("variant", "is team/variant without a version: versions are numbered as they are published (got %s)", quote(r.Variant))
		} else {
			d.faultIf(CheckVariant(r.Variant), "variant")
		}
	}
	if d.good("base_model") {
		d.faultIf(checkBase(r.BaseModel), "base_model")
	}
	if ref := r.Reference; d.written("reference") && d.good("reference") && ref != "init" && ref != "base" {
		v, err := ParseVersionRef(ref)
		switch {
		case err != nil:
			d.faultAt("reference", "must be init, base or TEAM/VARIANT@VERSION (got %s)", quote(ref))
		case v.At == "":
			d.faultAt("reference", "must name a version, as in %s@live", ref)
		}
	}
	if init := r.Adapter.InitFrom; init != nil && d.good("adapter.init_from.variant") {
		_, err := ParseVersionRef(init.Variant)
		d.faultIf(err, "adapter.init_from.variant")
	}
}

// checkBase accepts a URI, a path, builtin:NAME or a name for graft.yaml.
func checkBase(s string) error {
	scheme, rest, isURI := strings.Cut(s, "://")
	switch {
	case s == "" || strings.ContainsAny(s, " \t\n"):
		return fmt.Errorf("must be a name from graft.yaml, a URI, a directory or builtin:rootstock (got %s)", quote(s))
	case isURI && scheme != "s3" && scheme != "file":
		return fmt.Errorf("%s:// is not available yet: s3://, file://, a directory, builtin:rootstock or a name from graft.yaml", scheme)
	case isURI && strings.Trim(rest, "/") == "":
		return fmt.Errorf("names nothing after %s://", scheme)
	case strings.HasPrefix(s, "builtin:") && s != "builtin:rootstock":
		return fmt.Errorf("%s is not built in: builtin:rootstock is", quote(s))
	}
	return nil
}

// checkMethod refuses fields of another method that were written.
func (d *decoder) checkMethod(v reflect.Value, method, path string) {
	if !d.good("method") {
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		p := join(path, f.Name)
		if !f.applies(method) && d.written(p) {
			d.add(Fault{Pos: d.pos(d.keys[p]), Field: p,
				Msg: fmt.Sprintf("is for method %s only (method is %s)", oneOf(f.Methods), method)})
		}
		if f.IsGroup() && !f.Optional {
			d.checkMethod(v.Field(f.index), method, p)
		}
	}
}

func (d *decoder) checkAdapter(a Adapter) {
	const path = "adapter.target_modules"
	if !d.good(path) {
		return
	}
	seen := map[string]bool{}
	for i, m := range a.TargetModules {
		at := path
		if len(a.TargetModules) > 1 || d.written(path+"[0]") {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		switch {
		case m == "all" || m == "all_linear":
			d.faultAt(at, "unknown name %q, did you mean all-linear?", m)
		case m == "all-linear" && len(a.TargetModules) > 1:
			d.faultAt(at, "all-linear stands alone")
		case m == "" || strings.Trim(m, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != "":
			d.faultAt(at, "must be the name of a linear layer such as q_proj (got %s)", quote(m))
		case seen[m]:
			d.faultAt(at, "%s is named twice", m)
		}
		seen[m] = true
	}
	if seen["gate_proj"] != seen["up_proj"] {
		d.faultAt(path, "gate_proj and up_proj share one A: name both or neither")
	}
	if len(a.TargetModules) == 0 && d.written(path) {
		d.faultAt(path, "names no layer: leave the line out for all-linear")
	}
}

func (d *decoder) checkTrain(t Train, method string) {
	if d.written("train.global_batch_size") && d.written("train.gradient_accumulation_steps") {
		d.faultAt("train.gradient_accumulation_steps", "global_batch_size is given too: keep one of them")
	} else if g, m := t.GlobalBatchSize, t.MicroBatchSize; t.GradientAccumulationSteps == 0 && m > 0 && g%m != 0 {
		d.faultAt("train.micro_batch_size", "must divide global_batch_size, which is %d (got %d)", g, m)
	}
	if t.WarmupSteps > 0 && d.written("train.warmup_ratio") && t.WarmupRatio > 0 {
		d.faultAt("train.warmup_steps", "warmup_ratio is given too: keep one of them")
	}
	if t.CosineMinLRRatio > 0 && t.LRScheduler != "" && t.LRScheduler != "cosine" {
		d.faultAt("train.cosine_min_lr_ratio", "is for lr_scheduler cosine only (it is %s)", t.LRScheduler)
	}
	if method == DPO {
		d.checkSmoothing(t)
	}
}

func (d *decoder) checkSmoothing(t Train) {
	const path = "train.label_smoothing"
	switch {
	case t.LossType == "robust" && t.LabelSmoothing == 0 && d.good(path):
		d.faultAt(path, "loss_type robust needs one above 0")
	case (t.LossType == "hinge" || t.LossType == "ipo") && t.LabelSmoothing > 0:
		d.faultAt(path, "is for loss_type sigmoid and robust only (it is %s)", t.LossType)
	}
}

func (d *decoder) checkPublish(p Publish) {
	for _, a := range []struct{ path, alias string }{{"publish.to", p.To}, {"publish.then", p.Then}} {
		if d.written(a.path) && d.good(a.path) {
			d.faultIf(CheckAlias(a.alias), a.path)
		}
	}
	if p.Then != "" && p.Then == p.To {
		d.faultAt("publish.then", "is the alias of publish.to already")
	}
	if p.Approval == "required" && p.Then == "" {
		d.faultAt("publish.approval", "there is nothing to approve without publish.then")
	}
}

func (d *decoder) checkSchedule(s *Schedule) {
	if s == nil {
		return
	}
	if d.written("schedule.cron") && d.good("schedule.cron") {
		if at, err := checkCron(s.Cron); err != nil {
			d.faultInside("schedule.cron", at, "%v", err)
		}
	}
	if zone := s.Timezone; d.written("schedule.timezone") && d.good("schedule.timezone") {
		if _, err := time.LoadLocation(zone); err != nil || zone == "Local" || zone == "" {
			d.faultAt("schedule.timezone", "must be a time zone such as Europe/London (got %s)", quote(zone))
		}
	}
}
