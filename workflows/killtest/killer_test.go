package killtest_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Victims.
const (
	theWorker = "worker"
	theChild  = "trainer child"
	theStack  = "whole stack"
)

// instant is when who is killed: at a write, or at a training step.
type instant struct {
	Victim string
	Key    string // regular expression over the keys written; "" with Step
	Nth    int    // such write, from 0
	After  bool   // it has taken effect
	Step   int    // of training that has just been reported; 0 with Key
	Once   string // file that says that it has happened
}

// killer waits for an instant, in the process of the worker.
type killer struct {
	instant
	trainer *child.Trainer
	stack   string // directory, when this process is its host

	mu   sync.Mutex
	seen int
}

// hit counts writes to matching keys and says whether this is the one.
func (k *killer) hit(key string) bool {
	if k.Key == "" || !regexp.MustCompile(k.Key).MatchString(key) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen++
	return k.seen == k.Nth+1
}

// fire kills the victim, once in the life of a run: the process that comes after it is spared.
func (k *killer) fire() {
	f, err := os.OpenFile(k.Once, os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return
	}
	f.Close()
	switch k.Victim {
	case theChild:
		p, err := k.trainer.Process(context.Background())
		if err != nil {
			panic(err)
		}
		syscall.Kill(p.Ready().PID, syscall.SIGKILL)
		for { // until it is gone, so that the instant is the same each time
			if _, lost := p.Health(); lost != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	case theStack:
		for _, pid := range stackPIDs(k.stack) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// stackPIDs reads the process ids of Temporal and S3.
func stackPIDs(dir string) []int {
	data, err := os.ReadFile(filepath.Join(dir, "stack.json"))
	if err != nil {
		panic(err)
	}
	var s struct {
		Temporal, S3 struct{ PID int }
	}
	if err := json.Unmarshal(data, &s); err != nil || s.Temporal.PID == 0 || s.S3.PID == 0 {
		panic("stack.json names no processes")
	}
	return []int{s.Temporal.PID, s.S3.PID}
}

// watchedStore is a store whose writes may be the instant.
type watchedStore struct {
	objectstore.Store
	k *killer
}

func (s watchedStore) Put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (objectstore.Info, error) {
	hit := s.k.hit(key)
	if hit && !s.k.After {
		s.k.fire()
	}
	info, err := s.Store.Put(ctx, key, body, c)
	if hit && s.k.After {
		s.k.fire()
	}
	return info, err
}

// watchedTrainer is a trainer child whose steps may be the instant.
type watchedTrainer struct {
	*child.Trainer
	k *killer
}

func (t watchedTrainer) Run(ctx context.Context, job protocol.Job, on func(protocol.Message) error) (protocol.Result, error) {
	return t.Trainer.Run(ctx, job, func(m protocol.Message) error {
		if p, ok := m.(protocol.Progress); ok && job.Kind == protocol.Train && t.k.Step > 0 && p.Done == t.k.Step {
			t.k.fire()
		}
		return on(m)
	})
}
