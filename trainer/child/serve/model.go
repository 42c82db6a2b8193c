package serve

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/graft-ml/graft/trainer/protocol"
)

// modelSlot keeps the base of the last job.
type modelSlot struct {
	model Model
	uri   string
}

// get returns the base that ref names: the resident one if its digest is the one asked for (or none is, and
// the URI is the same), else a newly loaded one, after the old one is gone.
// touch is called whenever loading gets on.
func (s *modelSlot) get(ctx context.Context, cfg Config, ref protocol.Base, touch func()) (Model, error) {
	if s.model != nil && (ref.Digest == s.model.Digest() || ref.Digest == "" && ref.URI == s.uri) {
		return s.model, nil
	}
	s.drop()
	files, err := cfg.Opener.Base(ctx, ref.URI)
	if err != nil {
		return nil, fmt.Errorf("base %s: %w", ref.URI, err)
	}
	m, err := cfg.Load(ctx, watchedFiles{files, touch})
	if err != nil {
		return nil, fmt.Errorf("base %s: %w", ref.URI, err)
	}
	if ref.Digest != "" && ref.Digest != m.Digest() {
		m.Close()
		return nil, protocol.Error{Class: protocol.Data, Message: fmt.Sprintf("base %s: digest is %s, the job names %s", ref.URI, m.Digest(), ref.Digest)}
	}
	s.model, s.uri = m, ref.URI
	return m, nil
}

func (s *modelSlot) drop() {
	if s.model == nil {
		return
	}
	s.model.Close()
	s.model, s.uri = nil, ""
	debug.FreeOSMemory()
}
