package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Stack is a Temporal and an S3 to work with: started here (Start), found running (Use), or named by the user.
type Stack struct {
	Addresses
	Dir   string // "" when nothing was started and nothing found
	Found bool   // it ran already: Close leaves it running

	cfg      Config
	lock     *os.File
	children []*child // in the order in which they are stopped
	started  time.Time
	saving   sync.Mutex
	closing  sync.Once
	closed   chan struct{}
	closeErr error
}

// Start starts what cfg does not name as external, and returns when all of it answers, within a second or two.
// ctx bounds the start only: Close or Wait stops it. The errors that the user can mend (a taken port, a full disk, a
// file system without extended attributes, a missing or foreign binary, ErrRunning) have UserFault() true.
func Start(ctx context.Context, cfg Config) (*Stack, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := checkExternals(ctx, cfg); err != nil {
		return nil, err
	}
	s := &Stack{cfg: cfg, closed: make(chan struct{})}
	if len(cfg.ports()) == 0 {
		s.Addresses = externalAddresses(cfg)
		return s, nil
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) (err error) {
	binary := s.cfg.Binary
	if binary == "" {
		binary, err = FindBinary()
	} else {
		binary, err = checkBinary("as named", binary)
	}
	if err != nil {
		return err
	}
	if err := prepareDir(s.cfg.Dir, s.cfg.MinFree); err != nil {
		return err
	}
	if s.lock, err = takeLock(ctx, s.cfg.Dir); err != nil {
		return err
	}
	s.Dir, s.started = s.cfg.Dir, now()
	keys, err := loadCredentials(s.Dir)
	if err != nil {
		return err
	}
	last, err := readState(s.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.cfg.Log.Warn("the last start is forgotten", "why", err)
	}
	if err := s.launch(ctx, binary, keys, last); err != nil {
		return err
	}
	if err := s.save(os.Getpid()); err != nil {
		return err
	}
	for _, c := range s.children {
		go func() { <-c.gone; _ = s.Close() }() // one without the other is of no use
	}
	go s.watchDisk()
	return nil
}

// launch starts the children on ports given or chosen. A chosen port can be taken before the child has it: then others are.
func (s *Stack) launch(ctx context.Context, binary string, keys credentials, last state) error {
	for attempt := 1; ; attempt++ {
		cfg := s.cfg
		if err := choosePorts(&cfg, last); err != nil {
			return err
		}
		s.Addresses = addresses(cfg, keys)
		s.children = s.makeChildren(cfg, binary, keys)
		err := s.runChildren(ctx)
		if err == nil || attempt == 3 || !strings.Contains(err.Error(), "is taken on") {
			return err
		}
		if err := s.stopChildren(); err != nil {
			return err
		}
	}
}

func (s *Stack) makeChildren(cfg Config, binary string, keys credentials) []*child {
	var children []*child
	add := func(p program) {
		children = append(children, &child{
			program: p, binary: binary, lock: s.lock, log: cfg.Log,
			changed: func() {
				if err := s.save(os.Getpid()); err != nil {
					cfg.Log.Warn("the new process id is not in stack.json", "why", err)
				}
			},
			stop: make(chan struct{}), gone: make(chan struct{}),
		})
	}
	if cfg.ExternalTemporal == "" {
		add(temporalProgram(cfg))
	}
	if cfg.ExternalS3 == "" {
		add(s3Program(cfg, keys))
	}
	return children
}

// runChildren starts all at once and returns when all are ready, or one is not.
func (s *Stack) runChildren(ctx context.Context) error {
	first := make(chan error, len(s.children))
	for _, c := range s.children {
		go c.run(first)
	}
	var errs []error
	for range s.children {
		select {
		case err := <-first:
			errs = append(errs, err)
		case <-ctx.Done():
			return fmt.Errorf("start the stack: %w", context.Cause(ctx))
		}
	}
	return errors.Join(errs...)
}

func temporalProgram(cfg Config) program {
	args := []string{
		"temporal", "--ip", loopback, fmt.Sprintf("--port=%d", cfg.TemporalPort), fmt.Sprintf("--ui-port=%d", cfg.UIPort),
		"--db", filepath.Join(cfg.Dir, "temporal.db"), "--namespace", cfg.Namespace,
	}
	for _, a := range SearchAttributes() {
		args = append(args, fmt.Sprintf("--search-attribute=%s=%s", a.Name, a.Type))
	}
	return program{name: "Temporal", args: args, log: filepath.Join(cfg.Dir, "logs", "temporal.log")}
}

func s3Program(cfg Config, keys credentials) program {
	return program{
		name: "S3",
		args: []string{
			"s3", "--ip", loopback, fmt.Sprintf("--port=%d", cfg.S3Port),
			"--root", filepath.Join(cfg.Dir, "s3"), "--bucket", cfg.Bucket, "--region", region,
		},
		env: []string{"GRAFT_S3_ACCESS_KEY=" + keys.AccessKey, "GRAFT_S3_SECRET_KEY=" + keys.SecretKey},
		log: filepath.Join(cfg.Dir, "logs", "s3.log"),
	}
}
