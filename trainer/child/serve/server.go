package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/graft-ml/graft/trainer/protocol"
)

// Serve speaks graft.trainer/1 on in and out until in ends (nil), Shutdown (nil) or a breach of the
// protocol (an error, told to the parent too). A job that still runs is abandoned: the caller exits.
func Serve(ctx context.Context, in io.Reader, out io.Writer, cfg Config) error {
	if cfg.Load == nil {
		cfg.Load = LoadEngine
	}
	s := &server{cfg: cfg, enc: protocol.NewEncoder(out)}
	s.enter("idle")
	dec := protocol.NewDecoder(in)
	if err := s.greet(dec); err != nil {
		s.enc.Encode(protocol.Error{Class: protocol.Internal, Message: err.Error()})
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.beat(ctx)
	for {
		m, err := dec.Next()
		var refused protocol.Error
		switch {
		case errors.As(err, &refused): // a job with a field that we do not know
			s.enc.Encode(refused)
			continue
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			s.enc.Encode(protocol.Error{Class: protocol.Internal, Message: err.Error()})
			return err
		}
		if _, ok := m.(protocol.Shutdown); ok {
			return nil
		}
		if err := s.handle(ctx, m); err != nil {
			s.enc.Encode(protocol.Error{Class: protocol.Internal, Message: err.Error()})
			return err
		}
	}
}

type server struct {
	cfg   Config
	enc   *protocol.Encoder
	alive time.Duration

	model modelSlot // used by the running job alone

	mu      sync.Mutex
	running *job
	phase   string
	since   time.Time // of the phase's last progress
}

// greet waits for Hello and answers it.
func (s *server) greet(dec *protocol.Decoder) error {
	m, err := dec.Next()
	if err != nil {
		return fmt.Errorf("before hello: %w", err)
	}
	hello, ok := m.(protocol.Hello)
	if !ok {
		return fmt.Errorf("%T before hello", m)
	}
	if hello.Format != protocol.Format {
		return fmt.Errorf("the parent speaks %q, this child %s", hello.Format, protocol.Format)
	}
	s.alive = 5 * time.Second
	if hello.AliveSeconds > 0 {
		s.alive = time.Duration(hello.AliveSeconds * float64(time.Second))
	}
	return s.enc.Encode(protocol.Ready{
		Format: protocol.Format, PID: os.Getpid(), Runtime: s.cfg.Runtime, Memory: memory(), Warnings: s.cfg.Warnings,
		Kinds: []string{protocol.Train, protocol.Score, protocol.Generate}, Methods: []string{protocol.SFT, protocol.DPO},
	})
}

// beat says that the process lives, whatever the job does.
func (s *server) beat(ctx context.Context) {
	tick := time.NewTicker(s.alive)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.enc.Encode(s.sign())
		}
	}
}

func (s *server) sign() protocol.Alive {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := protocol.Alive{Phase: s.phase, Memory: memory()}
	if s.running != nil {
		a.Job, a.BusySeconds = s.running.ID, time.Since(s.since).Seconds()
	}
	return a
}

// touch notes that the job gets on.
func (s *server) touch() {
	s.mu.Lock()
	s.since = time.Now()
	s.mu.Unlock()
}

// enter notes a phase of a job, or progress in it.
func (s *server) enter(phase string) {
	s.mu.Lock()
	s.phase, s.since = phase, time.Now()
	s.mu.Unlock()
}

func (s *server) handle(ctx context.Context, m protocol.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m := m.(type) {
	case protocol.Job:
		if s.running != nil {
			return fmt.Errorf("job %s while job %s runs", m.ID, s.running.ID)
		}
		s.running = newJob(s, m)
		go s.running.do(ctx)
	case protocol.Stop:
		if s.running != nil && s.running.ID == m.Job {
			s.running.stop.Store(&m)
		}
	case protocol.CheckpointSaved:
		if s.running != nil && s.running.ID == m.Job {
			s.running.saved(m.Step)
		}
	default:
		return fmt.Errorf("%T from a parent", m)
	}
	return nil
}

// finish ends the running job; the parent may send the next one as soon as it has read last.
func (s *server) finish(last protocol.Message) {
	s.mu.Lock()
	s.running, s.phase, s.since = nil, "idle", time.Now()
	s.mu.Unlock()
	s.enc.Encode(last)
}
