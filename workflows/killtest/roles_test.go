package killtest_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/bases"
	"github.com/graft-ml/graft/internal/hf"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/child/serve"
	"github.com/graft-ml/graft/workflows"
	"github.com/graft-ml/graft/workflows/activities"
)

// Roles of this binary.
const (
	roleEnv   = "GRAFT_KILLTEST_ROLE"
	workerRun = "worker"
	hostRun   = "host"
	childRun  = "trainer-child"
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" {
		// A killed worker's run mostly waits for the heartbeat timeout: more at once than there are cores.
		flag.Parse()
		if err := flag.Set("test.parallel", "4"); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}

// config is what a worker or host process is told, as JSON in its environment.
type config struct {
	Addresses stack.Addresses // of a worker's stack
	Stack     string          // directory of a host's own stack
	Binary    string          // graft-stack
	Scratch   string
	Kill      instant
}

const configEnv = "GRAFT_KILLTEST_CONFIG"

func play(role string) error {
	if role == childRun {
		return serve.Main(serve.Config{Opener: opener{}, Runtime: serve.Runtime("killtest")})
	}
	var cfg config
	if err := json.Unmarshal([]byte(os.Getenv(configEnv)), &cfg); err != nil {
		return err
	}
	if role == hostRun {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s, err := stack.Start(ctx, stack.Config{Dir: cfg.Stack, Binary: cfg.Binary})
		if err != nil {
			return err
		}
		cfg.Addresses = s.Addresses
	}
	return work(cfg)
}

// work serves all queues of a stack and says on standard output where it is, until it is killed or its
// standard input ends.
func work(cfg config) error {
	for _, kv := range cfg.Addresses.Env() {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	store, _, err := open.Open(context.Background(), "s3://"+cfg.Addresses.S3.Bucket)
	if err != nil {
		return err
	}
	c, err := client.Dial(client.Options{HostPort: cfg.Addresses.Temporal, Namespace: cfg.Addresses.Namespace, Logger: quiet{}})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	trainer := child.NewTrainer(child.Config{Command: []string{self}, Env: []string{roleEnv + "=" + childRun}})
	k := &killer{instant: cfg.Kill, trainer: trainer, stack: cfg.Stack}
	stages := &stage.Stages{
		Store: watchedStore{store, k}, Open: open.Open, Base: baseInfo, Trainer: watchedTrainer{trainer, k}, Scratch: cfg.Scratch, Version: "killtest",
	}
	w, err := workflows.NewWorker(c, workflows.Config{Control: true, Data: 2, Hardware: "cpu", Drain: time.Second}, &activities.Activities{
		Runs: stages, Preparer: stages, Trainer: stages, Evaluator: stages, Publisher: stages,
	})
	if err != nil {
		return err
	}
	if err := w.Start(); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(cfg.Addresses); err != nil {
		return err
	}
	if _, err := os.Stdin.Read(make([]byte, 1)); err == nil {
		return fmt.Errorf("standard input: a byte came")
	}
	return nil
}

// opener finds bases and data as the graft command does.
type opener struct{}

func (opener) Base(ctx context.Context, uri string) (base.Files, error) {
	return bases.Open(ctx, uri, open.Open)
}

func (opener) Data(ctx context.Context, uri string) (objectstore.Store, error) {
	store, prefix, err := open.Open(ctx, strings.TrimSuffix(uri, "/")+"/")
	if err != nil || strings.Trim(prefix, "/") == "" {
		return store, err
	}
	return objectstore.Sub(store, strings.Trim(prefix, "/")), nil
}

func baseInfo(ctx context.Context, uri string) (stage.BaseInfo, error) {
	files, err := bases.Open(ctx, uri, open.Open)
	if err != nil {
		return stage.BaseInfo{}, err
	}
	tokenizer, err := hf.LoadTokenizer(files)
	if err != nil {
		return stage.BaseInfo{}, err
	}
	template, err := hf.LoadTemplate(files, tokenizer)
	if err != nil {
		return stage.BaseInfo{}, err
	}
	digest := func(context.Context) (string, error) {
		b, err := base.Open(files)
		if err != nil {
			return "", err
		}
		return b.Digest(), nil
	}
	return stage.BaseInfo{URI: uri, Text: datasets.FromHF(tokenizer, template), Digest: digest, Decode: tokenizer.DecodeText}, nil
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
