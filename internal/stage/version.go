package stage

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/graft-ml/graft/adapters"
	"github.com/graft-ml/graft/adapters/peft"
	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
)

// WriteVersion publishes the run's checkpoint as the next version of its variant, once for a run. No alias
// moves: nobody is served it yet.
func (s *Stages) WriteVersion(ctx context.Context, in VersionInput) (Version, error) {
	t, err := s.newTask(ctx, in.RunID, in.Recipe, in.Pins, func(Tick) {})
	if err != nil {
		return Version{}, err
	}
	defer t.end()
	candidate, err := t.candidate(ctx, in.Trained.Checkpoint)
	if err != nil {
		return Version{}, err
	}
	decision, raw, err := s.decision(ctx, in.Decision)
	if err != nil {
		return Version{}, err
	}
	dir := filepath.Join(t.dir, "version")
	origin := t.origin(in)
	origin.Gate = raw
	if err := ExportPEFT(candidate.URI, dir, t.recipe, card(t.recipe.Variant, origin, in.Scored, decision)); err != nil {
		return Version{}, err
	}
	m, err := s.registry().Publish(ctx, adapters.Draft{Variant: t.recipe.Variant, Origin: origin, Dir: dir})
	if err != nil {
		return Version{}, err
	}
	return s.version(m)
}

func (s *Stages) version(m adapters.Manifest) (Version, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return Version{}, fmt.Errorf("manifest of %s: %w", m.Name(), err)
	}
	return Version{
		Variant: m.Variant, Number: m.Version, Digest: sha256Hex(data), URI: s.registry().URI(m), Adapter: weights(m),
	}, nil
}

// origin is what the version was made from.
func (t *task) origin(in VersionInput) adapters.Origin {
	o := adapters.Origin{
		Run: in.RunID, Method: t.recipe.Method, Tokenizer: t.pins.Base.Tokenizer, Steps: in.Trained.Step,
		Base:    adapters.Ref{URI: t.pins.Base.URI, Digest: in.Trained.BaseDigest},
		Data:    adapters.Ref{URI: t.s.Store.URI(in.Data.Key), Digest: in.Digest},
		Recipe:  adapters.Ref{URI: t.s.Store.URI(in.Recipe.Key), Digest: in.Recipe.SHA256},
		Adapter: adapters.Shape{R: t.recipe.Adapter.R, Alpha: t.recipe.Adapter.Alpha, RSLoRA: t.recipe.Adapter.UseRSLoRA, TargetModules: t.recipe.Adapter.TargetModules},
		Metrics: metrics(in.Scored, Candidate),
	}
	if !t.pins.Init.None() {
		o.Parent = fmt.Sprintf("%s@%d", t.pins.Init.Variant, t.pins.Init.Version)
	}
	return o
}

// metrics of a subject by SUITE.METRIC.
func metrics(scored []Scored, subject string) map[string]float64 {
	out := map[string]float64{}
	for _, sc := range scored {
		for name, value := range sc.Metrics {
			if sc.Subject == subject {
				out[datasets.Holdout+"."+name] = value
			}
		}
	}
	return out
}

func card(title string, o adapters.Origin, scored []Scored, d evaluation.Decision) peft.Card {
	c := peft.Card{
		Title: title, Method: o.Method, Run: o.Run, Base: o.Base.Digest, Data: o.Data.Digest, Recipe: o.Recipe.Digest,
		Parent: o.Parent, Metrics: o.Metrics, Against: metrics(scored, Base),
	}
	for _, l := range d.Lines {
		verdict := "fail: "
		if l.Pass {
			verdict = "pass: "
		}
		c.Gate = append(c.Gate, verdict+l.Line+" ("+l.Why+")")
	}
	return c
}

// ExportPEFT writes a checkpoint directory's adapter as the PEFT directory dir, with a model card.
func ExportPEFT(from, dir string, r *recipes.Recipe, card peft.Card) error {
	tensors, err := readTensors(filepath.Join(from, checkpoint.AdapterFile))
	if err != nil {
		return err
	}
	a := peft.Adapter{R: r.Adapter.R, Alpha: r.Adapter.Alpha, RSLoRA: r.Adapter.UseRSLoRA, Tensors: tensors}
	return peft.Export(dir, a, peft.Base{Name: r.BaseModel}, card)
}

// readTensors reads adapter.safetensors: F32 throughout.
func readTensors(path string) ([]peft.Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := safetensors.Open(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []peft.Tensor
	for _, t := range file.Tensors() {
		if t.DType != safetensors.F32 {
			return nil, fmt.Errorf("%s: tensor %s: dtype %s, want F32: %w", path, t.Name, t.DType, objectstore.ErrDamaged)
		}
		raw := make([]byte, t.End-t.Begin)
		if err := file.ReadTensor(t.Name, raw); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		data := make([]float32, len(raw)/4)
		for i := range data {
			data[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		out = append(out, peft.Tensor{Name: t.Name, Shape: t.Shape, Data: data})
	}
	return out, nil
}
