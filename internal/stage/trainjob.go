package stage

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/trainer/protocol"
)

// newAttempt names an attempt as nobody else ever will.
func newAttempt(n int) string { return fmt.Sprintf("a%d-%s", n, strings.ToLower(rand.Text()[:12])) }

// job is the attempt's train job, with every name turned into a place.
func (a *attempt) job(ctx context.Context) (protocol.Job, error) {
	t := TrainJobOf(a.recipe)
	t.Data = a.s.source(a.in.Data, a.in.Digest)
	var err error
	if t.Init, err = a.s.download(ctx, a.pins.Init, filepath.Join(a.dir, "init")); err != nil {
		return protocol.Job{}, fmt.Errorf("adapter.init_from: %w", err)
	}
	if t.ReferenceAdapter, err = a.s.download(ctx, a.pins.Reference, filepath.Join(a.dir, "reference")); err != nil {
		return protocol.Job{}, fmt.Errorf("reference: %w", err)
	}
	if a.from.Step > 0 {
		t.Resume = a.resumeDir()
	}
	return protocol.Job{
		ID: a.in.RunID + "/" + a.id, Kind: protocol.Train, Base: a.pins.base(), Scratch: filepath.Join(a.dir, "job"), Train: &t,
	}, nil
}

func (p Pins) base() protocol.Base { return protocol.Base{URI: p.Base.URI, Digest: p.Base.Digest} }

// source is a prepared data set as the child opens it.
func (s *Stages) source(manifest Ref, digest string) protocol.Source {
	return protocol.Source{URI: s.Store.URI(""), Manifest: manifest.Key, Digest: digest}
}
