package peft

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// Files of a PEFT directory.
const (
	ConfigFile = "adapter_config.json"
	ModelFile  = "adapter_model.safetensors"
	CardFile   = "README.md"

	// PerExpertDir holds the other layout in what Export writes.
	PerExpertDir = "per-expert"
)

// Encode returns adapter_config.json and adapter_model.safetensors.
func Encode(a Adapter, l Layout, base Base) (config, model []byte, err error) {
	modules, err := a.modules()
	if err != nil {
		return nil, nil, err
	}
	if config, err = configJSON(a, modules, l, base); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	var out bytes.Buffer
	if err := safetensors.Write(&out, map[string]string{"format": "pt"}, tensors(modules, a.R, l)); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", ModelFile, err)
	}
	return config, out.Bytes(), nil
}

// Write writes one layout to dir, which it creates.
func Write(dir string, a Adapter, l Layout, base Base) error {
	config, model, err := Encode(a, l, base)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return errors.Join(os.MkdirAll(dir, 0o755), write(dir, ConfigFile, config), write(dir, ModelFile, model))
}

func write(dir, name string, data []byte) error {
	return os.WriteFile(filepath.Join(dir, name), data, 0o644)
}

// Export writes what a published version holds: the fused layout, which PEFT over transformers 5 loads, and the model card in dir, and
// for an adapter on experts the per-expert layout in dir/per-expert.
func Export(dir string, a Adapter, base Base, card Card) error {
	if err := Write(dir, a, Fused, base); err != nil {
		return err
	}
	modules, err := a.modules()
	if err != nil {
		return err
	}
	card.fill(a, modules, base)
	if err := write(dir, CardFile, card.render()); err != nil {
		return err
	}
	if !onExperts(modules) {
		return nil
	}
	return Write(filepath.Join(dir, PerExpertDir), a, PerExpert, base)
}

func onExperts(modules []module) bool {
	for _, m := range modules {
		if m.experts > 0 {
			return true
		}
	}
	return false
}
