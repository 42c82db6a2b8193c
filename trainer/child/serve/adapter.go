package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/graft-ml/graft/adapters/peftread"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

// maxAdapterBytes bounds what is read as an adapter's file: it lies in memory as a whole.
const maxAdapterBytes = 64 << 30

// optional reads an adapter for scoring; no reference is the base.
func (j *job) optional(ctx context.Context, m Model, ref *protocol.AdapterRef) (*lora.Adapter, error) {
	if ref == nil {
		return nil, nil
	}
	a, err := j.adapter(ctx, m, ref)
	if err != nil {
		return nil, fmt.Errorf("adapter: %w", err)
	}
	return a, nil
}

// adapter reads adapter files, a checkpoint directory's or PEFT's, and holds them to what the base says an
// adapter of that configuration has.
func (j *job) adapter(ctx context.Context, m Model, ref *protocol.AdapterRef) (*lora.Adapter, error) {
	if ref == nil {
		return nil, userError("no files named")
	}
	store, err := j.s.cfg.Opener.Data(ctx, ref.URI)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.URI, err)
	}
	a, err := readCheckpointAdapter(ctx, store, ref.SHA256)
	if errors.Is(err, objectstore.ErrNotFound) {
		a, err = readPEFT(ctx, store, ref.SHA256)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.URI, err)
	}
	like, err := m.NewAdapter(a.Config, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.URI, err)
	}
	a, err = trainer.Arrange(like, a)
	if err != nil {
		return nil, dataError(fmt.Errorf("%s: %w", ref.URI, err))
	}
	return a, nil
}

// readCheckpointAdapter reads adapter.safetensors with the configuration that state.json beside it has.
func readCheckpointAdapter(ctx context.Context, store objectstore.Store, want string) (*lora.Adapter, error) {
	data, err := readVerified(ctx, store, trainer.AdapterFile, want)
	if err != nil {
		return nil, err
	}
	state, _, err := objectstore.ReadAll(ctx, store, trainer.StateFile, 2*protocol.MaxLine)
	if err != nil {
		return nil, err
	}
	s, err := trainer.DecodeState(state)
	if err != nil {
		return nil, dataError(err)
	}
	tensors, err := trainer.ReadTensors(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, dataError(fmt.Errorf("%s: %w", trainer.AdapterFile, err))
	}
	return &lora.Adapter{Config: trainer.LoRAConfig(s.Job.Adapter), Tensors: tensors}, nil
}

// readPEFT reads a PEFT directory. Its modules are named one by one: what the file holds is what is used.
func readPEFT(ctx context.Context, store objectstore.Store, want string) (*lora.Adapter, error) {
	p, err := peftread.Read(files{ctx, store, want})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, dataError(fmt.Errorf("neither %s nor PEFT files: %w", trainer.AdapterFile, err))
	}
	if err != nil {
		return nil, err
	}
	a := &lora.Adapter{Config: lora.Config{R: p.Config.R, Alpha: p.Config.Alpha, RSLoRA: p.Config.RSLoRA}}
	for _, t := range p.Tensors {
		a.Tensors = append(a.Tensors, lora.Tensor(t))
		if module, ok := strings.CutSuffix(t.Name, lora.NameA("")); ok {
			a.Config.TargetModules = append(a.Config.TargetModules, module)
		}
	}
	return a, nil
}

// files are a store's objects as peftread wants them. The tensors are held to a SHA-256, if one is given.
type files struct {
	ctx   context.Context
	store objectstore.Store
	want  string
}

// Open implements peftread.Files.
func (f files) Open(name string) (io.ReaderAt, int64, error) {
	want := ""
	if name == peftModel {
		want = f.want
	}
	data, err := readVerified(f.ctx, f.store, name, want)
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil, 0, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return bytes.NewReader(data), int64(len(data)), err
}

// peftModel is the file that an AdapterRef's digest is of.
const peftModel = "adapter_model.safetensors"

// readVerified reads an object whole and holds it to a SHA-256, if one is given.
func readVerified(ctx context.Context, store objectstore.Store, key, want string) ([]byte, error) {
	data, _, err := objectstore.ReadAll(ctx, store, key, maxAdapterBytes)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); want != "" && hex.EncodeToString(sum[:]) != want {
		return nil, dataError(fmt.Errorf("%s: sha256 is %x, the job names %s", key, sum, want))
	}
	return data, nil
}

func dataError(err error) error {
	return protocol.Error{Class: protocol.Data, Message: err.Error()}
}
