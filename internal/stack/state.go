package stack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const stateFormat = "graft.stack/1"

// state is stack.json: what the last start in a directory made. The lock, not this file, says whether it runs.
type state struct {
	Format   string        `json:"format"`
	PID      int           `json:"pid"` // of the process that started it; 0 after a clean stop
	Started  time.Time     `json:"started"`
	Temporal temporalState `json:"temporal"`
	UI       string        `json:"ui,omitempty"`
	S3       s3State       `json:"s3"`
}

type temporalState struct {
	Address   string `json:"address"`
	Namespace string `json:"namespace"`
	UIPort    int    `json:"ui_port,omitempty"`
	External  bool   `json:"external,omitempty"`
	PID       int    `json:"pid,omitempty"`
	Log       string `json:"log,omitempty"`
}

type s3State struct {
	Endpoint string `json:"endpoint,omitempty"`
	Region   string `json:"region,omitempty"`
	Bucket   string `json:"bucket"`
	External bool   `json:"external,omitempty"`
	PID      int    `json:"pid,omitempty"`
	Log      string `json:"log,omitempty"`
}

func statePath(dir string) string { return filepath.Join(dir, "stack.json") }

func readState(dir string) (state, error) {
	var s state
	b, err := os.ReadFile(statePath(dir))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: %w", statePath(dir), err)
	}
	if s.Format != stateFormat {
		return state{}, fmt.Errorf("%s: format %q, want %q", statePath(dir), s.Format, stateFormat)
	}
	return s, nil
}
