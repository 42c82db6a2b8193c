package pretrain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/trainer/base"
)

// maxShard is where a further weight file begins, in bytes of tensors.
const maxShard = 4 << 20

// Export writes a Hugging Face model directory: linear maps of attention and experts in block FP8, the rest in
// bfloat16. Its bytes depend on the arguments alone.
func Export(dir string, config base.Config, weights []base.Tensor, tokenizerJSON []byte, card string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	files, err := weightFiles(config, weights)
	if err != nil {
		return err
	}
	if files["config.json"], err = configJSON(config, weights); err != nil {
		return err
	}
	files["tokenizer.json"] = tokenizerJSON
	files["README.md"] = []byte(card)
	if err := tokenizerFiles(files, config); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// quantised tells which weights are stored in FP8: the projections of attention and experts.
func quantised(name string) bool {
	return strings.HasSuffix(name, "_proj.weight")
}

func storedTensors(config base.Config, t base.Tensor) []safetensors.Tensor {
	if !quantised(t.Name) {
		return []safetensors.Tensor{{Name: t.Name, DType: safetensors.BF16, Shape: t.Shape, Data: bfloat16(t.Data)}}
	}
	rows, cols, block := t.Shape[0], t.Shape[1], config.FP8Block
	codes, scales := quantize(t.Data, rows, cols, block)
	shape := []int{(rows + block - 1) / block, (cols + block - 1) / block}
	return []safetensors.Tensor{
		{Name: t.Name, DType: safetensors.F8E4M3, Shape: t.Shape, Data: codes},
		{Name: t.Name + "_scale_inv", DType: safetensors.F32, Shape: shape, Data: floatBytes(scales)},
	}
}

func weightFiles(config base.Config, weights []base.Tensor) (map[string][]byte, error) {
	var shards [][]safetensors.Tensor
	size, total := maxShard, 0
	for _, w := range weights {
		if size >= maxShard {
			shards, size = append(shards, nil), 0
		}
		for _, t := range storedTensors(config, w) {
			shards[len(shards)-1] = append(shards[len(shards)-1], t)
			size += len(t.Data)
			total += len(t.Data)
		}
	}
	files := map[string][]byte{}
	places := map[string]string{}
	for i, tensors := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		var b bytes.Buffer
		if err := safetensors.Write(&b, map[string]string{"format": "pt"}, tensors); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = b.Bytes()
		for _, t := range tensors {
			places[t.Name] = name
		}
	}
	index, err := indented(map[string]any{"metadata": map[string]int{"total_size": total}, "weight_map": places})
	files["model.safetensors.index.json"] = index
	return files, err
}

// indented is JSON with sorted names, a line each.
func indented(value any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(value)
	return b.Bytes(), err
}
