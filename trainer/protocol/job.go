package protocol

// Kinds of jobs.
const (
	Train    = "train"
	Score    = "score"
	Generate = "generate"
)

// Methods of training.
const (
	SFT = "sft"
	DPO = "dpo"
)

// Job is one piece of work. Exactly the part that Kind names is set.
type Job struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Base Base   `json:"base"`
	// Scratch is a directory for this job alone: checkpoints and records are written below it.
	Scratch  string       `json:"scratch"`
	Train    *TrainJob    `json:"train,omitempty"`
	Score    *ScoreJob    `json:"score,omitempty"`
	Generate *GenerateJob `json:"generate,omitempty"`
}

// Base names the frozen model.
type Base struct {
	URI    string `json:"uri"`              // builtin:rootstock, a directory, s3://bucket/prefix
	Digest string `json:"digest,omitempty"` // expected; empty: whatever is there
}

// Source names a prepared data set: a manifest in a store.
type Source struct {
	URI      string `json:"uri"`              // root of the store: a directory or s3://bucket/prefix
	Manifest string `json:"manifest"`         // key of the manifest below URI
	Digest   string `json:"digest,omitempty"` // expected; empty: whatever is there
	Split    string `json:"split,omitempty"`  // train job only; empty: "train"
}

// AdapterRef names adapter files: a checkpoint directory of this protocol (adapter.safetensors) or a
// PEFT directory (adapter_config.json, adapter_model.safetensors).
type AdapterRef struct {
	URI string `json:"uri"` // directory or s3://bucket/prefix
	// SHA256 of the tensors file, hex; empty: whatever is there.
	SHA256 string `json:"sha256,omitempty"`
}

// AdapterConfig is the shape of a LoRA adapter, in PEFT's terms.
type AdapterConfig struct {
	R             int      `json:"r"`
	Alpha         float64  `json:"alpha"`
	Dropout       float64  `json:"dropout,omitempty"`
	TargetModules []string `json:"target_modules"`   // leaf names, or "all-linear"
	RSLoRA        bool     `json:"rslora,omitempty"` // scale alpha/sqrt(r) instead of alpha/r
}

// Reference of a preference method.
const (
	ReferenceInit    = "init"    // the initial adapter, frozen (the base if there is none)
	ReferenceBase    = "base"    // the adapter switched off
	ReferenceAdapter = "adapter" // ReferenceAdapter files
)

// TrainJob trains one adapter.
type TrainJob struct {
	Data    Source        `json:"data"`
	Method  string        `json:"method"` // SFT or DPO
	Adapter AdapterConfig `json:"adapter"`
	// Init is the adapter to start from (its shape must be Adapter's); nil: A random by Seed, B zero.
	Init *AdapterRef `json:"init,omitempty"`

	Reference        string      `json:"reference,omitempty"`         // preference methods; empty: init
	ReferenceAdapter *AdapterRef `json:"reference_adapter,omitempty"` // with Reference "adapter"
	Beta             float64     `json:"beta,omitempty"`
	LossType         string      `json:"loss_type,omitempty"` // empty: sigmoid
	LabelSmoothing   float64     `json:"label_smoothing,omitempty"`

	Optimizer Optimizer `json:"optimizer"`
	Schedule  Schedule  `json:"schedule"`

	NumEpochs       float64 `json:"num_epochs"`          // used when MaxSteps is 0; a fraction ends inside an epoch
	MaxSteps        int     `json:"max_steps,omitempty"` // of the whole job, resumed part included
	GlobalBatchSize int     `json:"global_batch_size"`   // sequences (packs or pairs) of a step
	MicroBatchSize  int     `json:"micro_batch_size"`    // sequences of one forward/backward
	Seed            uint64  `json:"seed"`
	Shuffle         bool    `json:"shuffle"`    // false: the manifest's order in every epoch
	SaveSteps       int     `json:"save_steps"` // a checkpoint every so many steps, and at the end; 0: at the end only

	// ExactResume refuses a checkpoint of another runtime (versions, ISA) or micro-batch size. Without it the
	// job goes on where the last bits may differ, and its checkpoints say since which step.
	ExactResume bool `json:"exact_resume,omitempty"`
	// Resume is a checkpoint directory of the same job; empty: from step 0.
	Resume string `json:"resume,omitempty"`
}

// Optimizer is AdamW with decoupled weight decay (Loshchilov & Hutter 2019) as torch.optim.AdamW has it.
type Optimizer struct {
	LearningRate float64 `json:"learning_rate"`
	Beta1        float64 `json:"beta1"`
	Beta2        float64 `json:"beta2"`
	Eps          float64 `json:"eps"`
	WeightDecay  float64 `json:"weight_decay"`
	MaxGradNorm  float64 `json:"max_grad_norm"` // 0: no clipping
}

// Schedule of the learning rate: warm-up from 0, then Name. Same values as transformers'
// get_{cosine,linear,constant}_schedule_with_warmup.
type Schedule struct {
	Name        string  `json:"name"`                   // cosine, linear, constant; empty: cosine
	WarmupSteps int     `json:"warmup_steps,omitempty"` // 0: WarmupRatio decides
	WarmupRatio float64 `json:"warmup_ratio,omitempty"` // of all steps, rounded up
	MinRatio    float64 `json:"min_ratio,omitempty"`    // cosine: floor as a share of the peak
}

// ScoreJob scores splits of a data set, or the rows of a tokens file.
type ScoreJob struct {
	Data    *Source     `json:"data,omitempty"`
	Splits  []string    `json:"splits,omitempty"`
	Limit   int         `json:"limit,omitempty"`   // sequences of each split, 0: all
	Tokens  string      `json:"tokens,omitempty"`  // path, JSON lines: one array of token ids per line
	Adapter *AdapterRef `json:"adapter,omitempty"` // nil: the base
	// MicroBatchSize sequences in one forward; 0: the child's choice. Does not change the records beyond 1e-5.
	MicroBatchSize int `json:"micro_batch_size,omitempty"`
}

// GenerateJob continues prompts.
type GenerateJob struct {
	Prompts      string      `json:"prompts"` // path, JSON lines: one array of token ids per line
	Adapter      *AdapterRef `json:"adapter,omitempty"`
	MaxNewTokens int         `json:"max_new_tokens"`
	Temperature  float64     `json:"temperature"`     // 0: greedy
	TopP         float64     `json:"top_p,omitempty"` // 0 or 1: all
	Stop         []int32     `json:"stop,omitempty"`  // token ids that end a completion
	Seed         uint64      `json:"seed,omitempty"`
}
