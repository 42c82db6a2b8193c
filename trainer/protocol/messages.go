package protocol

// Format names this protocol and its major version; hello and ready carry it.
const Format = "graft.trainer/1"

// Message is one of the types of this file.
type Message interface{ messageType() string }

// Hello opens the conversation.
type Hello struct {
	Format string `json:"format"`
	// AliveSeconds is the longest that the child may stay silent, 0 for its default of 5.
	AliveSeconds float64 `json:"alive_seconds,omitempty"`
}

// Ready answers Hello and says what will compute: a checkpoint records it, exactness depends on it.
type Ready struct {
	Format   string   `json:"format"`
	PID      int      `json:"pid"`
	Runtime  Runtime  `json:"runtime"`
	Memory   Memory   `json:"memory"`
	Kinds    []string `json:"kinds"`    // of jobs that this child can do
	Methods  []string `json:"methods"`  // of training
	Warnings []string `json:"warnings"` // for people: for instance a build without SIMD
}

// Runtime is everything but the job that bits depend on.
type Runtime struct {
	Engine  string `json:"engine"`  // "graft", or the name of another implementation
	Version string `json:"version"` // of the engine
	Go      string `json:"go,omitempty"`
	GoMLX   string `json:"gomlx,omitempty"`
	Backend string `json:"backend"`          // "go" or "xla:cuda" …
	OS      string `json:"os"`               // runtime.GOOS
	Arch    string `json:"arch"`             // runtime.GOARCH
	ISA     string `json:"isa"`              // "avx512", "avx2", "neon", "scalar": the widest the engine uses
	SIMD    bool   `json:"simd"`             // built with GOEXPERIMENT=simd
	CPUs    int    `json:"cpus"`             // that it may use; does not change results
	Device  string `json:"device,omitempty"` // accelerator, in words
}

// Memory in bytes.
type Memory struct {
	Resident int64 `json:"resident"`
	Limit    int64 `json:"limit,omitempty"` // RLIMIT_DATA, 0 if none
}

// Stop asks a job to end at its next step boundary, or between two rows when it scores.
type Stop struct {
	Job        string `json:"job"`
	Checkpoint bool   `json:"checkpoint"` // write one first: a pause; otherwise work since the last one is lost
	Reason     string `json:"reason,omitempty"`
}

// CheckpointSaved tells the child that its directory is stored elsewhere (or given up) and may go.
type CheckpointSaved struct {
	Job  string `json:"job"`
	Step int    `json:"step"`
}

// Shutdown asks the child to exit; a running job is abandoned.
type Shutdown struct{}

// Alive is the child's sign of life. Its absence, not its content, is what a parent acts on.
type Alive struct {
	Job    string `json:"job,omitempty"`
	Phase  string `json:"phase"` // idle, loading, reference, compiling, training, scoring, generating
	Memory Memory `json:"memory"`
	// BusySeconds since the phase made its last progress: a hang shows here while the process lives.
	BusySeconds float64 `json:"busy_seconds"`
}

// Progress after a step of a train job, or after some rows of another.
type Progress struct {
	Job   string  `json:"job"`
	Phase string  `json:"phase"` // as in Alive
	Done  int     `json:"done"`  // steps; or sequences, lines, prompts of the phase
	Total int     `json:"total"`
	ETA   float64 `json:"eta_seconds"`
	// Metrics of the step just done; nil unless the phase is training.
	Metrics *Metrics `json:"metrics,omitempty"`
}

// CheckpointReady says that dir holds a whole checkpoint. The child goes on training and touches dir
// again only to delete it, after CheckpointSaved; a final one it leaves where it is.
type CheckpointReady struct {
	Job   string  `json:"job"`
	Step  int     `json:"step"`
	Epoch float64 `json:"epoch"`
	Loss  float64 `json:"loss"` // of the step it follows
	Dir   string  `json:"dir"`
	Final bool    `json:"final"` // the last one of the job: done or stopped
}

// Result ends a job that did what it was asked, or was stopped.
type Result struct {
	Job      string          `json:"job"`
	Stopped  bool            `json:"stopped"` // by Stop, before its end
	Train    *TrainResult    `json:"train,omitempty"`
	Score    *ScoreResult    `json:"score,omitempty"`
	Generate *GenerateResult `json:"generate,omitempty"`
}

// TrainResult describes the last checkpoint. Dir is empty if the job was stopped without one.
type TrainResult struct {
	Dir        string  `json:"dir"`
	Step       int     `json:"step"`
	Steps      int     `json:"steps"`
	Epoch      float64 `json:"epoch"`
	Tokens     int64   `json:"tokens"` // seen in all, without padding
	Last       Metrics `json:"last"`
	Seconds    float64 `json:"seconds"` // in this job, loading included
	BaseDigest string  `json:"base_digest"`
	// AdapterSHA256 of adapter.safetensors, hex: equal runs have equal ones.
	AdapterSHA256 string `json:"adapter_sha256"`
}

// ScoreResult sums up the files written by a score job.
type ScoreResult struct {
	Files   []ScoreFile `json:"files"`
	Seconds float64     `json:"seconds"`
}

// ScoreFile is one split (or the tokens file, with split ""), scored.
type ScoreFile struct {
	Split   string  `json:"split"`
	Path    string  `json:"path"` // JSON lines: Record, or arrays of log-probabilities for a tokens file
	Rows    int     `json:"rows"`
	Tokens  int64   `json:"tokens"`   // supervised (both halves of a pair)
	LogProb float64 `json:"log_prob"` // sum over Tokens
}

// GenerateResult points to the completions, in the order of the prompts.
type GenerateResult struct {
	Path    string  `json:"path"` // JSON lines: arrays of token ids, without prompt and stop token
	Tokens  int     `json:"tokens"`
	Seconds float64 `json:"seconds"`
}

// Error ends a job, or without Job the conversation.
type Error struct {
	Job        string   `json:"job,omitempty"`
	Class      Class    `json:"class"`
	Message    string   `json:"message"`
	Step       int      `json:"step,omitempty"`        // counted from 1
	MicroBatch int      `json:"micro_batch,omitempty"` // counted from 1
	Rows       []string `json:"rows,omitempty"`        // ids of the rows in it, hex
}

// Class says who can mend an error.
type Class string

const (
	User     Class = "user"     // the job asks for what cannot be: retrying is of no use
	Data     Class = "data"     // base, data or checkpoint is missing, damaged or of another digest
	NaN      Class = "nan"      // loss or gradient is not finite; the last checkpoint is good
	Internal Class = "internal" // anything else: retrying may help
)

func (Hello) messageType() string           { return "hello" }
func (Ready) messageType() string           { return "ready" }
func (Job) messageType() string             { return "job" }
func (Stop) messageType() string            { return "stop" }
func (CheckpointSaved) messageType() string { return "checkpoint-saved" }
func (Shutdown) messageType() string        { return "shutdown" }
func (Alive) messageType() string           { return "alive" }
func (Progress) messageType() string        { return "progress" }
func (CheckpointReady) messageType() string { return "checkpoint-ready" }
func (Result) messageType() string          { return "result" }
func (Error) messageType() string           { return "error" }

// Error makes it an error value that keeps its class: errors.As finds it.
func (e Error) Error() string { return e.Message }

// UserFault says that repeating the job cannot mend it: its recipe, base or data must change.
func (e Error) UserFault() bool { return e.Class == User || e.Class == Data }
