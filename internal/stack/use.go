package stack

import (
	"context"
	"errors"
)

// Use returns the stack that runs in cfg.Dir, or starts one. Close of one that was found leaves it running. What cfg
// names as external is used in place of the found stack's; a port that cfg gives must be the found stack's own.
func Use(ctx context.Context, cfg Config) (*Stack, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if len(cfg.ports()) == 0 {
		return Start(ctx, cfg)
	}
	found, err := Find(ctx, cfg.Dir)
	if errors.Is(err, ErrNotRunning) {
		return Start(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	if err := found.checkGiven(cfg); err != nil {
		return nil, err
	}
	if err := checkExternals(ctx, cfg); err != nil {
		return nil, err
	}
	return &Stack{Addresses: found.overlay(cfg), Dir: cfg.Dir, Found: true, cfg: cfg, closed: make(chan struct{})}, nil
}

// checkGiven refuses ports that are not those of the running stack.
func (a Addresses) checkGiven(cfg Config) error {
	running := map[*int]int{
		&cfg.TemporalPort: portOf(a.Temporal),
		&cfg.UIPort:       portOfURL(a.UI),
		&cfg.S3Port:       portOfURL(a.S3.Endpoint),
	}
	for _, f := range cfg.ports() {
		if given := *f.port; given != 0 && given != running[f.port] {
			return mend("port %d for %s: %w with port %d: stop it first, or name another directory", given, f.what, ErrRunning, running[f.port])
		}
	}
	return nil
}

// overlay replaces what cfg names as external.
func (a Addresses) overlay(cfg Config) Addresses {
	external := externalAddresses(cfg)
	if cfg.ExternalTemporal != "" {
		a.Temporal, a.Namespace, a.UI = external.Temporal, external.Namespace, ""
	}
	if cfg.ExternalS3 != "" {
		a.S3 = external.S3
	}
	return a
}
