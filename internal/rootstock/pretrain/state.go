package pretrain

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
)

const stateFile = "state.safetensors"

// Progress is what a resumed run needs beside the engine's state.
type Progress struct {
	Schedule   Schedule `json:"schedule"`
	Step       int      `json:"step"`
	Tokens     int64    `json:"tokens"`     // targets trained on
	Seconds    float64  `json:"seconds"`    // of wall time in the loop
	Validation float64  `json:"validation"` // last held-out loss, nats per token
}

// Save writes both to dir; a crash leaves the old file or the new one.
func Save(dir string, p Progress, s *engine.PretrainState) error {
	progress, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var tensors []safetensors.Tensor
	for prefix, list := range map[string][]base.Tensor{"w/": s.Weights, "m/": s.M, "v/": s.V} {
		for _, t := range list {
			tensors = append(tensors, safetensors.Tensor{Name: prefix + t.Name, DType: safetensors.F32, Shape: t.Shape, Data: floatBytes(t.Data)})
		}
	}
	path := filepath.Join(dir, stateFile)
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := safetensors.Write(f, map[string]string{"progress": string(progress)}, tensors); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Load reads what Save wrote; without a file the state is nil.
func Load(dir string) (Progress, *engine.PretrainState, error) {
	var p Progress
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil, nil
	}
	if err != nil {
		return p, nil, err
	}
	f, err := safetensors.Open(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return p, nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	if err := json.Unmarshal([]byte(f.Metadata()["progress"]), &p); err != nil {
		return p, nil, fmt.Errorf("%s: progress: %w", stateFile, err)
	}
	s := &engine.PretrainState{Step: p.Step}
	lists := map[string]*[]base.Tensor{"w/": &s.Weights, "m/": &s.M, "v/": &s.V}
	for _, info := range f.Tensors() {
		list, ok := lists[info.Name[:min(2, len(info.Name))]]
		if !ok || info.DType != safetensors.F32 {
			return p, nil, fmt.Errorf("%s: tensor %q: unexpected", stateFile, info.Name)
		}
		data := floats(raw[info.Begin:info.End])
		*list = append(*list, base.Tensor{Name: strings.Clone(info.Name[2:]), Shape: info.Shape, Data: data})
	}
	return p, s, nil
}

func floatBytes(x []float32) []byte {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func floats(b []byte) []float32 {
	x := make([]float32, len(b)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}
