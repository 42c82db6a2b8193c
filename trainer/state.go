package trainer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

// CheckpointFormat names the directory format of the package comment and its major version.
const CheckpointFormat = "graft.trainer.checkpoint/1"

// State is state.json: all of a checkpoint but its tensors and metrics.
type State struct {
	Format  string            `json:"format"`
	Job     protocol.TrainJob `json:"job"` // as it was asked for; Resume left out
	Base    string            `json:"base"`
	Init    string            `json:"init"`                // SHA-256 of the initial adapter's tensors
	Ref     string            `json:"reference,omitempty"` // SHA-256 of the reference's tensors, or "base"
	Shape   Shape             `json:"shape"`
	Steps   int               `json:"steps"` // of the whole job
	Step    int               `json:"step"`  // updates done
	Cursor  Cursor            `json:"cursor"`
	Tokens  int64             `json:"tokens"` // seen, without padding
	Runtime protocol.Runtime  `json:"runtime"`
	Before  []Span            `json:"before,omitempty"` // other runtimes or micro-batch sizes that trained the first steps
	Files   map[string]string `json:"files"`            // name → SHA-256, hex
}

// Span is what trained the steps up to and with Step, from where the span before it ended.
type Span struct {
	Step           int              `json:"step"`
	MicroBatchSize int              `json:"micro_batch_size"`
	Runtime        protocol.Runtime `json:"runtime"`
}

// Pair holds the reference's log-probabilities of one pair, chosen then rejected, each summed over its supervised tokens.
type Pair [2]float32

// Checkpoint is a job between two steps.
type Checkpoint struct {
	State     State
	Final     bool // the job ended or stopped here; not stored
	Adapter   *lora.Adapter
	Optimizer *engine.OptState   // nil before the first step
	Metrics   []protocol.Metrics // of steps 1 to State.Step
	Reference []Pair             // preference methods: of every pair that the job trains on, in the manifest's order; others are unvisited
}

// Last is the record of the step before; zero at step 0.
func (c *Checkpoint) Last() protocol.Metrics {
	if len(c.Metrics) == 0 {
		return protocol.Metrics{}
	}
	return c.Metrics[len(c.Metrics)-1]
}

// start returns where the job stands: its checkpoint, when that is one of this very job, or its beginning.
func (p *plan) start() (*Checkpoint, error) {
	init, err := AdapterDigest(p.job.Init)
	if err != nil {
		return nil, err
	}
	fresh := State{
		Format: CheckpointFormat, Job: p.job.TrainJob, Base: p.job.Base, Init: init, Shape: p.shape, Steps: p.steps,
		Cursor: Cursor{Manifest: p.data}, Runtime: p.job.Runtime,
	}
	fresh.Job.Resume = ""
	if p.pairs {
		if fresh.Ref, err = referenceDigest(p.job.Reference); err != nil {
			return nil, err
		}
	}
	c := p.job.Resume
	if c == nil {
		return &Checkpoint{State: fresh, Adapter: p.job.Init}, nil
	}
	if err := sameJob(c.State, fresh, p.job.ExactResume); err != nil {
		return nil, err
	}
	if p.pairs && len(c.Reference) != p.order.sequences {
		return nil, dataError("checkpoint at step %d: %d reference pairs for %d sequences", c.State.Step, len(c.Reference), p.order.sequences)
	}
	resumed := *c
	resumed.Final, resumed.Metrics = false, slices.Clone(c.Metrics)
	if !sameRuntime(c.State, fresh) {
		resumed.State.Before = append(slices.Clone(c.State.Before), Span{c.State.Step, c.State.Job.MicroBatchSize, c.State.Runtime})
	}
	resumed.State.Job, resumed.State.Runtime, resumed.State.Shape = fresh.Job, fresh.Runtime, fresh.Shape
	if err := resumed.arrange(p.job.Init); err != nil {
		return nil, dataError("checkpoint at step %d: %v", c.State.Step, err)
	}
	return &resumed, nil
}

// arrange puts adapter and moments into the order of the initial adapter's tensors.
func (c *Checkpoint) arrange(init *lora.Adapter) error {
	var err error
	if c.Adapter, err = Arrange(init, c.Adapter); err != nil {
		return err
	}
	if c.Optimizer == nil {
		return nil
	}
	o := *c.Optimizer
	if o.M, err = arrange(init.Tensors, o.M); err != nil {
		return fmt.Errorf("first moment: %w", err)
	}
	if o.V, err = arrange(init.Tensors, o.V); err != nil {
		return fmt.Errorf("second moment: %w", err)
	}
	c.Optimizer = &o
	return nil
}

func referenceDigest(a *lora.Adapter) (string, error) {
	if a == nil {
		return "base", nil
	}
	return AdapterDigest(a)
}

// sameRuntime says whether a resumed job will be bit for bit what it would have been.
func sameRuntime(a, b State) bool {
	for _, s := range []*State{&a, &b} {
		s.Runtime.CPUs, s.Runtime.Device = 0, "" // do not change results
	}
	return a.Runtime == b.Runtime && a.Shape == b.Shape && a.Job.MicroBatchSize == b.Job.MicroBatchSize
}

// sameJob names what keeps a checkpoint from continuing as job. Where things are stored, and when
// checkpoints are taken, may differ; so may runtime and micro-batch size unless the resume must be exact.
func sameJob(checkpoint, job State, exact bool) error {
	if checkpoint.Cursor.Manifest != job.Cursor.Manifest {
		return userError("resume: checkpoint at step %d was trained on data manifest %s, the job has %s", checkpoint.Step, checkpoint.Cursor.Manifest, job.Cursor.Manifest)
	}
	exact = exact && !sameRuntime(checkpoint, job)
	for _, s := range []*State{&checkpoint, &job} {
		s.Step, s.Tokens, s.Cursor, s.Files, s.Before = 0, 0, Cursor{}, nil, nil
		s.Job.Data, s.Job.SaveSteps, s.Job.Resume, s.Job.ExactResume = protocol.Source{Split: s.Job.Data.Split}, 0, "", false
		s.Job.Init, s.Job.ReferenceAdapter = nil, nil // their digests are compared
		if !exact {
			s.Job.MicroBatchSize, s.Shape, s.Runtime = 0, Shape{}, protocol.Runtime{}
		}
	}
	a, b := flatten(checkpoint), flatten(job)
	var differ []string
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			differ = append(differ, fmt.Sprintf("%s is %s, the checkpoint has %s", name, or(b[name]), or(a[name])))
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			differ = append(differ, fmt.Sprintf("%s is %s, the checkpoint has none", name, b[name]))
		}
	}
	if len(differ) == 0 {
		return nil
	}
	slices.Sort(differ)
	return userError("resume: not the checkpoint of this job: %s", strings.Join(differ, "; "))
}

// flatten gives the fields of state.json, those of objects under dotted names.
func flatten(s State) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	var walk func(prefix string, data []byte)
	walk = func(prefix string, data []byte) {
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) != nil || object == nil {
			out[prefix] = data
			return
		}
		for name, value := range object {
			walk(strings.TrimPrefix(prefix+"."+name, "."), value)
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // State holds only finite numbers: check and sums saw to that
	}
	walk("", data)
	return out
}

func or(value []byte) string {
	if value == nil {
		return "none"
	}
	return string(value)
}
