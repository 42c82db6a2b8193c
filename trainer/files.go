package trainer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Files of a checkpoint directory.
const (
	StateFile     = "state.json"
	AdapterFile   = "adapter.safetensors"
	OptimizerFile = "optimizer.safetensors"
	ReferenceFile = "reference.safetensors"
	MetricsFile   = "metrics.jsonl"
)

// maxStateBytes bounds state.json; a job's own limit is protocol.MaxLine.
const maxStateBytes = 2 * protocol.MaxLine

// Write stores the checkpoint as a new directory: a temporary one beside it is filled, synced and
// renamed, so that dir is whole or absent. State.Files is set.
func (c *Checkpoint) Write(dir string) error {
	contents, err := c.contents()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".checkpoint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	c.State.Files = map[string]string{}
	for name, data := range contents {
		c.State.Files[name] = sha256Hex(data)
		if err := writeSynced(filepath.Join(tmp, name), data); err != nil {
			return err
		}
	}
	state, err := json.MarshalIndent(c.State, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", StateFile, err)
	}
	if err := writeSynced(filepath.Join(tmp, StateFile), append(state, '\n')); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // left by an attempt before this one
		return err
	}
	return os.Rename(tmp, dir)
}

func (c *Checkpoint) contents() (map[string][]byte, error) {
	adapter, err := encodeTensors(c.Adapter.Tensors)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", AdapterFile, err)
	}
	out := map[string][]byte{AdapterFile: adapter}
	if c.Optimizer != nil {
		if out[OptimizerFile], err = encodeMoments(c.Optimizer); err != nil {
			return nil, fmt.Errorf("%s: %w", OptimizerFile, err)
		}
	}
	if c.Reference != nil {
		if out[ReferenceFile], err = encodeReference(c.Reference); err != nil {
			return nil, fmt.Errorf("%s: %w", ReferenceFile, err)
		}
	}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, m := range c.Metrics {
		if err := enc.Encode(m); err != nil {
			return nil, fmt.Errorf("%s: step %d: %w", MetricsFile, m.Step, err)
		}
	}
	out[MetricsFile] = lines.Bytes()
	return out, nil
}

// ReadCheckpoint reads what Write wrote. A directory that is not whole and sound is a protocol.Error of class data.
func ReadCheckpoint(dir string) (*Checkpoint, error) {
	c, err := readCheckpoint(dir)
	if err != nil {
		return nil, dataError("checkpoint %s: %v", dir, err)
	}
	return c, nil
}

func readCheckpoint(dir string) (*Checkpoint, error) {
	state, err := readState(filepath.Join(dir, StateFile))
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{State: state}
	contents := map[string][]byte{}
	for name, want := range c.State.Files {
		if name != filepath.Base(name) {
			return nil, fmt.Errorf("%s: file name %q", StateFile, name)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if got := sha256Hex(data); got != want {
			return nil, fmt.Errorf("%s: sha256 is %s, not %s", name, got, want)
		}
		contents[name] = data
	}
	adapter, err := decodeTensors(contents[AdapterFile])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", AdapterFile, err)
	}
	c.Adapter = &lora.Adapter{Config: LoRAConfig(c.State.Job.Adapter), Tensors: adapter}
	if data, ok := contents[OptimizerFile]; ok {
		if c.Optimizer, err = decodeMoments(data, c.State.Step); err != nil {
			return nil, fmt.Errorf("%s: %w", OptimizerFile, err)
		}
	}
	if data, ok := contents[ReferenceFile]; ok {
		if c.Reference, err = decodeReference(data); err != nil {
			return nil, fmt.Errorf("%s: %w", ReferenceFile, err)
		}
	}
	c.Metrics, err = readMetrics(contents[MetricsFile], c.State.Step)
	return c, err
}

func readState(path string) (State, error) {
	f, err := os.Open(path)
	if err != nil {
		return State{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStateBytes+1))
	if err != nil {
		return State{}, err
	}
	return DecodeState(data)
}

// DecodeState reads state.json strictly.
func DecodeState(data []byte) (State, error) {
	var s State
	var head struct{ Format string }
	switch err := json.Unmarshal(data, &head); {
	case len(data) > maxStateBytes:
		return s, fmt.Errorf("%s: over %d bytes", StateFile, maxStateBytes)
	case err != nil:
		return s, fmt.Errorf("%s: %w", StateFile, err)
	case head.Format != CheckpointFormat:
		return s, fmt.Errorf("%s: format %q: this version of graft reads %s only", StateFile, head.Format, CheckpointFormat)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return s, fmt.Errorf("%s: %w", StateFile, err)
	}
	if s.Step < 0 || s.Step > s.Steps || s.Cursor.Epoch < 0 || s.Cursor.Next < 0 {
		return s, fmt.Errorf("%s: step %d of %d, cursor %d, %d", StateFile, s.Step, s.Steps, s.Cursor.Epoch, s.Cursor.Next)
	}
	return s, nil
}

func readMetrics(data []byte, steps int) ([]protocol.Metrics, error) {
	var out []protocol.Metrics
	for line := range strings.Lines(string(data)) {
		var m protocol.Metrics
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", MetricsFile, len(out)+1, err)
		}
		out = append(out, m)
	}
	if len(out) != steps {
		return nil, fmt.Errorf("%s: %d lines at step %d", MetricsFile, len(out), steps)
	}
	return out, nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if syncErr := f.Sync(); err == nil {
		err = syncErr
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
