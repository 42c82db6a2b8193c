package child_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/graft-ml/graft/adapters/peft"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/protocol"
)

// A trained adapter scores the same from its checkpoint and from PEFT files in either layout, and not like the base.
func TestPEFTFilesScoreTheSame(t *testing.T) {
	ctx, src := context.Background(), data(t, shards.SFT)
	p := start(t, config("real"))
	job := trainJob(t, src, protocol.SFT)
	job.Base.URI, job.Train.MaxSteps, job.Train.Adapter.RSLoRA = "tiny", 3, true
	trained, err := p.Do(ctx, job, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := trainer.ReadCheckpoint(trained.Train.Dir)
	if err != nil {
		t.Fatal(err)
	}
	a := peft.Adapter{R: c.Adapter.Config.R, Alpha: c.Adapter.Config.Alpha, RSLoRA: true}
	for _, x := range c.Adapter.Tensors {
		a.Tensors = append(a.Tensors, peft.Tensor(x))
	}
	dirs := map[string]string{"checkpoint": trained.Train.Dir, "base": ""}
	for _, layout := range []peft.Layout{peft.Fused, peft.PerExpert} {
		dirs[layout.String()] = t.TempDir()
		if err := peft.Write(dirs[layout.String()], a, layout, peft.Base{Name: "tiny"}); err != nil {
			t.Fatal(err)
		}
	}
	scores := map[string]string{}
	for name, dir := range dirs {
		if scores[name], err = score(t, p, src, dir); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for name, lines := range scores {
		if same := lines == scores["checkpoint"]; same != (name != "base") {
			t.Errorf("%s scores like the checkpoint: %v", name, same)
		}
	}

	// Damaged or foreign files are named, and are nobody's fault but theirs.
	bad := dirs[peft.Fused.String()]
	model := filepath.Join(bad, peft.ModelFile)
	whole, _ := os.ReadFile(model)
	os.WriteFile(model, whole[:len(whole)-4], 0o666)
	var failed protocol.Error
	if _, err := score(t, p, src, bad); !errors.As(err, &failed) || failed.Class != protocol.Data || !strings.Contains(err.Error(), bad) {
		t.Errorf("a cut file: %v", err)
	}
	if _, err := score(t, p, src, t.TempDir()); !errors.As(err, &failed) || failed.Class != protocol.Data {
		t.Errorf("an empty directory: %v", err)
	}
}

// score gives the records of the held-out split; dir "" is the base.
func score(t *testing.T, p interface {
	Do(context.Context, protocol.Job, func(protocol.Message) error) (protocol.Result, error)
}, src protocol.Source, dir string) (string, error) {
	job := protocol.Job{ID: "score", Kind: protocol.Score, Base: protocol.Base{URI: "tiny"}, Scratch: t.TempDir(),
		Score: &protocol.ScoreJob{Data: &src, Splits: []string{"holdout"}}}
	if dir != "" {
		job.Score.Adapter = &protocol.AdapterRef{URI: dir}
	}
	r, err := p.Do(context.Background(), job, nil)
	if err != nil {
		return "", err
	}
	lines, err := os.ReadFile(r.Score.Files[0].Path)
	return string(lines), err
}
