package killtest_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"go.temporal.io/sdk/client"

	"github.com/graft-ml/graft/adapters"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/internal/stack/stacktest"
	"github.com/graft-ml/graft/workflows"
)

const recipe = `version: 1
variant: go/killed
base_model: builtin:rootstock
method: sft
adapter: {lora_r: 2, lora_alpha: 4, target_modules: [q_proj, v_proj]}
data:
  sequence_len: 64
  split: {holdout: 0.2}
  datasets:
    - {name: rows, path: DATA, type: prompt-completion}
train: {max_steps: 6, save_steps: 2, global_batch_size: 2, micro_batch_size: 2, learning_rate: 1e-2}
evaluate:
  limit: 2
  samples: 0
  gate: ["holdout.loss < base + 100"]
publish: {to: candidate, then: live}
`

// events are the kinds of instants that a run goes through, with how many of each it has.
var events = []struct {
	name string
	at   instant
	of   int
}{
	{"preparing", instant{Key: `^data/parts/`}, 6},
	{"training", instant{Step: 1}, 6},
	{"uploading a checkpoint", instant{Key: `/checkpoints/step-\d+/a\d+-[a-z0-9]+/`}, 9},
	{"committing a manifest", instant{Key: `(checkpoints/step-\d+|data/plans/[0-9a-f]+|versions/\d+)/manifest\.json$`}, 5},
	{"moving an alias", instant{Key: `/aliases/`}, 2},
}

// seed of the instants: another one gives other writes, sides of them and steps.
var seed = flag.Uint64("seed", 9, "seed of the instants")

func TestKilledRunPublishesTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("15 runs, each killed once")
	}
	data := writeRows(t)
	var want string
	t.Run("undisturbed", func(t *testing.T) { want = publish(t, data, instant{}) })
	if want == "" {
		t.Fatal("the undisturbed run published nothing")
	}
	r := rand.New(rand.NewPCG(*seed, 0))
	for _, victim := range []string{theWorker, theChild, theStack} {
		for _, e := range events {
			at := e.at
			at.Victim, at.After = victim, r.IntN(2) == 1
			if n := r.IntN(e.of); at.Step > 0 {
				at.Step = 1 + n
			} else {
				at.Nth = n
			}
			t.Run(victim+"/"+e.name, func(t *testing.T) {
				t.Parallel()
				t.Logf("%+v", at)
				if got := publish(t, data, at); got != want {
					t.Errorf("the adapter's digest is %.12s, the undisturbed run's %.12s", got, want)
				}
			})
		}
	}
}

// publish runs the recipe in a fresh stack while something is killed at an instant, and returns the digest
// of the adapter file of the one version that exists then.
func publish(t *testing.T, data string, at instant) string {
	t.Helper()
	dir := t.TempDir()
	at.Once = filepath.Join(dir, "killed")
	cfg := config{Stack: filepath.Join(dir, "stack"), Scratch: filepath.Join(dir, "scratch"), Kill: at}
	var err error
	if cfg.Binary, err = stacktest.Binary(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(cfg.Scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	role := hostRun
	if at.Victim != theStack {
		role = workerRun
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s, err := stack.Start(ctx, stack.Config{Dir: cfg.Stack, Binary: cfg.Binary})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		cfg.Addresses = s.Addresses
	}
	addresses, deaths := keepRunning(t, role, cfg)
	await(t, addresses, data)
	if at.Victim == "" {
		return only(t, addresses)
	}
	if _, err := os.Stat(at.Once); err != nil {
		t.Errorf("the instant never came: nothing was killed")
	}
	if want := map[string]int{theWorker: 1, theStack: 1}[at.Victim]; deaths() != want {
		t.Errorf("%s died %d times, want %d", role, deaths(), want)
	}
	return only(t, addresses)
}

// keepRunning starts a process in a role, and again whenever it is killed, as an operator or `graft up` would.
func keepRunning(t *testing.T, role string, cfg config) (stack.Addresses, func() int) {
	t.Helper()
	told := make(chan stack.Addresses, 100)
	var mu sync.Mutex
	died, over := 0, false
	var stop func()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			mu.Lock()
			if over {
				mu.Unlock()
				return
			}
			cmd, in, err := start(role, cfg, told)
			if err != nil {
				mu.Unlock()
				t.Errorf("start %s: %v", role, err)
				return
			}
			stop = func() { in.Close() }
			mu.Unlock()
			err = cmd.Wait()
			mu.Lock()
			status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if killed := status.Signaled() && status.Signal() == syscall.SIGKILL; killed {
				died++
			} else if !over {
				t.Errorf("%s ended by itself: %v", role, err)
				over = true
			}
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		mu.Lock()
		over = true
		stop()
		mu.Unlock()
		<-ended
	})
	select {
	case a := <-told:
		return a, func() int { mu.Lock(); defer mu.Unlock(); return died }
	case <-time.After(time.Minute):
		t.Fatalf("%s: no address after a minute", role)
	}
	panic("unreachable")
}

func start(role string, cfg config, told chan<- stack.Addresses) (*exec.Cmd, io.Closer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, configEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	go func() {
		var a stack.Addresses
		if json.NewDecoder(out).Decode(&a) == nil {
			told <- a
		}
	}()
	return cmd, in, nil
}

// await submits the run and waits until it has published, however often the server goes away meanwhile.
func await(t *testing.T, at stack.Addresses, data string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	c, err := client.DialContext(ctx, client.Options{HostPort: at.Temporal, Namespace: at.Namespace, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := workflows.Input{File: "killed.yaml", Recipe: strings.ReplaceAll(recipe, "DATA", data)}
	for {
		run, err := workflows.Submit(ctx, c, "killed", in, workflows.Listing{Variant: "go/killed", Base: "builtin:rootstock", Method: "sft"})
		var res workflows.Result
		if err == nil {
			err = run.Get(ctx, &res)
		}
		switch {
		case err == nil && res.Published:
			return
		case err == nil:
			t.Fatalf("the run ended as %s: %+v", res.Phase, res.Refused())
		case ctx.Err() != nil:
			t.Fatalf("not published in time: %v", err)
		case !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "unavailable"):
			t.Fatalf("the run failed: %v", err)
		}
		time.Sleep(200 * time.Millisecond) // the stack is down
	}
}

// only is the digest of the adapter of the one version; both aliases are at it, having moved once.
func only(t *testing.T, at stack.Addresses) string {
	t.Helper()
	ctx := t.Context()
	store, err := openStore(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	r := adapters.New(store)
	versions, err := r.Versions(ctx, "go/killed")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	if err := r.Verify(ctx, versions[0]); err != nil {
		t.Error(err)
	}
	for _, name := range []string{adapters.Candidate, adapters.Live} {
		a, err := r.Alias(ctx, "go/killed", name)
		if err != nil || a.Version != versions[0].Version || a.Generation != 1 {
			t.Errorf("alias %s: %+v, %v", name, a, err)
		}
	}
	f, _ := versions[0].File("adapter_model.safetensors")
	return f.SHA256
}

// opening guards the environment, which the AWS configuration is read from.
var opening sync.Mutex

func openStore(ctx context.Context, at stack.Addresses) (objectstore.Store, error) {
	opening.Lock()
	defer opening.Unlock()
	for _, kv := range at.Env() {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	s, _, err := open.Open(ctx, "s3://"+at.S3.Bucket)
	return s, err
}

// writeRows writes three Parquet files of sums: small, and the same for every run.
func writeRows(t *testing.T) string {
	t.Helper()
	type row struct {
		Prompt     string `parquet:"prompt"`
		Completion string `parquet:"completion"`
	}
	dir := t.TempDir()
	for file := range 3 {
		var rows []row
		for i := range 20 {
			a, b := 7*i+file, 3*i+11
			rows = append(rows, row{fmt.Sprintf("%d and %d make ", a, b), fmt.Sprintf("%d.", a+b)})
		}
		if err := parquet.WriteFile(filepath.Join(dir, fmt.Sprintf("rows-%d.parquet", file)), rows); err != nil {
			t.Fatal(err)
		}
	}
	return dir + "/*.parquet"
}
