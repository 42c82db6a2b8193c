package stage

import (
	"time"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/recipes"
)

// These values travel through workflow history: each is a few hundred bytes, at most 4 KB. Big things
// are named by a Ref.

// Ref names a stored object: its key in the run's store and the hex SHA-256 of its bytes.
type Ref struct {
	Key    string `json:"key,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// Pin is a published version that a name meant at a moment; the zero Pin is none.
type Pin struct {
	Variant string `json:"variant,omitempty"` // team/variant
	Version int    `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"` // of the version's manifest
}

// None says whether p names no version.
func (p Pin) None() bool { return p.Version == 0 }

// Submission is a recipe as a team hands it in.
type Submission struct {
	RunID       string   `json:"run_id"`
	File        string   `json:"file"`                  // its name, for errors
	Recipe      string   `json:"recipe"`                // YAML as written, at most MaxRecipe bytes
	Set         []string `json:"set,omitempty"`         // overrides, field=value
	Environment string   `json:"environment,omitempty"` // of graft.yaml
	Trigger     string   `json:"trigger,omitempty"`     // "", or "schedule" for a firing
}

// MaxRecipe bounds a recipe in bytes.
const MaxRecipe = 64 << 10

// Resolved is the short of what Resolve stored: what the workflow itself needs to know.
type Resolved struct {
	RunID      string   `json:"run_id"`
	Recipe     Ref      `json:"recipe"`
	Pins       Ref      `json:"pins"`
	Variant    string   `json:"variant"`
	Method     string   `json:"method"`
	Base       string   `json:"base"` // URI
	BaseDigest string   `json:"base_digest"`
	Hardware   string   `json:"hardware"` // cpu, 8xh100: names the queue graft-train-<hardware>
	To         string   `json:"to"`       // alias of every published version
	Then       string   `json:"then,omitempty"`
	Approval   bool     `json:"approval,omitempty"` // Then moves by hand only
	Live       Pin      `json:"live"`               // when the run began
	Subjects   []string `json:"subjects,omitempty"` // what the gate names beside base and live
	Store      string   `json:"store"`              // URI of the run's store
}

// PartList is what Prepare works through.
type PartList struct {
	List  Ref   `json:"list"`
	Parts int   `json:"parts"`
	Files int   `json:"files"`
	Rows  int64 `json:"rows"` // by the files' footers
	Bytes int64 `json:"bytes"`
}

// PartsInput asks for the parts [From, To) of a list.
type PartsInput struct {
	RunID  string `json:"run_id"`
	Recipe Ref    `json:"recipe"`
	Pins   Ref    `json:"pins"`
	List   Ref    `json:"list"`
	From   int    `json:"from"`
	To     int    `json:"to"`
}

// PartsDone counts what PrepareParts did.
type PartsDone struct {
	Parts  int   `json:"parts"`
	Reused int   `json:"reused"` // found in the store
	Rows   int64 `json:"rows"`
}

// PlanInput asks for the manifest over all parts.
type PlanInput struct {
	RunID  string `json:"run_id"`
	Recipe Ref    `json:"recipe"`
	Pins   Ref    `json:"pins"`
	List   Ref    `json:"list"`
}

// Data is a prepared data set.
type Data struct {
	Manifest Ref    `json:"manifest"`
	Digest   string `json:"digest"` // of the manifest
	Train    Split  `json:"train"`
	Holdout  Split  `json:"holdout"`
	Dropped  int64  `json:"dropped"`
	Reused   bool   `json:"reused"` // the manifest was there
}

// Split counts one side of the data.
type Split struct {
	Sequences  int   `json:"sequences"`
	Examples   int   `json:"examples"`
	Tokens     int64 `json:"tokens"`
	Supervised int64 `json:"supervised"`
}

// TrainInput trains a list of jobs that share a base: today exactly one.
type TrainInput struct {
	Jobs []TrainJob `json:"jobs"`
}

// TrainJob is one run's training.
type TrainJob struct {
	RunID  string `json:"run_id"`
	Recipe Ref    `json:"recipe"`
	Pins   Ref    `json:"pins"`
	Data   Ref    `json:"data"`
	Digest string `json:"digest"` // of the data manifest
}

// Trained is where training ended.
type Trained struct {
	Checkpoint    Ref     `json:"checkpoint"` // manifest of the last checkpoint
	Step          int     `json:"step"`
	Epoch         float64 `json:"epoch"`
	Tokens        int64   `json:"tokens"`
	Loss          float64 `json:"loss"` // of the last step
	Seconds       float64 `json:"seconds"`
	AdapterSHA256 string  `json:"adapter_sha256"` // of adapter.safetensors
	BaseDigest    string  `json:"base_digest"`
	Attempts      int     `json:"attempts"`
}

// Tick is how far a stage is; heartbeats and progress signals carry it.
type Tick struct {
	RunID           string  `json:"run_id,omitempty"`
	Phase           string  `json:"phase"`             // loading, training, scoring, …
	Subject         string  `json:"subject,omitempty"` // of scoring and generating
	Done            int     `json:"done"`
	Total           int     `json:"total"`
	Loss            float64 `json:"loss,omitempty"`
	TokensPerSecond float64 `json:"tokens_per_second,omitempty"`
	ETASeconds      float64 `json:"eta_seconds,omitempty"`
	Tokens          int64   `json:"tokens,omitempty"`
	Checkpoint      int     `json:"checkpoint,omitempty"` // step of the newest committed one
	Attempt         int     `json:"attempt,omitempty"`
	// Start is the checkpoint that the attempt began with; Stalled how many attempts up to this one, in a
	// row, began no further than the one before.
	Start   int `json:"start,omitempty"`
	Stalled int `json:"stalled,omitempty"`
	// Signalled is the last share of progress that was sent to the run.
	Signalled int    `json:"signalled,omitempty"`
	Note      string `json:"note,omitempty"` // why the last attempt ended
}

// Subjects of an evaluation.
const (
	Candidate = evaluation.Candidate
	Base      = recipes.RefBase
	Live      = recipes.RefLive
)

// ScoreInput scores one subject on the held-out split.
type ScoreInput struct {
	RunID      string `json:"run_id"`
	Recipe     Ref    `json:"recipe"`
	Pins       Ref    `json:"pins"`
	Data       Ref    `json:"data"`
	Digest     string `json:"digest"`
	Subject    string `json:"subject"`
	Checkpoint Ref    `json:"checkpoint"`    // of the candidate
	Live       Pin    `json:"live,omitzero"` // with Subject live
}

// Scored is one subject's records.
type Scored struct {
	Subject string             `json:"subject"`
	Records Ref                `json:"records"`
	Rows    int                `json:"rows"`
	Tokens  int64              `json:"tokens"`
	Metrics map[string]float64 `json:"metrics"` // loss, perplexity, preference_accuracy
}

// SampleInput asks base and candidate to answer the same prompts.
type SampleInput struct {
	RunID      string `json:"run_id"`
	Recipe     Ref    `json:"recipe"`
	Pins       Ref    `json:"pins"`
	Data       Ref    `json:"data"`
	Digest     string `json:"digest"`
	Checkpoint Ref    `json:"checkpoint"`
}

// Sampled is where the answers are.
type Sampled struct {
	Samples Ref `json:"samples"`
	Count   int `json:"count"`
}

// GateInput asks for the decision over scored subjects.
type GateInput struct {
	RunID  string   `json:"run_id"`
	Recipe Ref      `json:"recipe"`
	Scored []Scored `json:"scored"`
	Live   Pin      `json:"live"`
}

// Decision is what the gate said.
type Decision struct {
	Pass  bool       `json:"pass"`
	Lines []GateLine `json:"lines"`
	// Table compares the candidate with the base, with intervals.
	Table []evaluation.Comparison `json:"table"`
	File  Ref                     `json:"file"` // decision.json
}

// GateLine is one line of the gate with its outcome.
type GateLine struct {
	Line string `json:"line"` // as written
	Pass bool   `json:"pass"`
	Why  string `json:"why"` // numbers in words: 2.31 < 2.58 (bound -0.25)
}

// VersionInput asks for the immutable version.
type VersionInput struct {
	RunID    string   `json:"run_id"`
	Recipe   Ref      `json:"recipe"`
	Pins     Ref      `json:"pins"`
	Data     Ref      `json:"data"`
	Digest   string   `json:"digest"`
	Trained  Trained  `json:"trained"`
	Scored   []Scored `json:"scored"`
	Decision Ref      `json:"decision"`
}

// Version is a published one.
type Version struct {
	Variant string `json:"variant"`
	Number  int    `json:"number"`
	Digest  string `json:"digest"` // of its manifest
	URI     string `json:"uri"`
	// Adapter is the SHA-256 of adapter_model.safetensors.
	Adapter string `json:"adapter"`
}

// VerifyInput asks a fresh process to score the version's files as downloaded.
type VerifyInput struct {
	RunID   string  `json:"run_id"`
	Recipe  Ref     `json:"recipe"`
	Pins    Ref     `json:"pins"`
	Data    Ref     `json:"data"`
	Digest  string  `json:"digest"`
	Version Version `json:"version"`
	// Records of the evaluation; none if nothing was held out, then Checkpoint is scored again.
	Candidate  Ref `json:"candidate,omitzero"`
	Base       Ref `json:"base,omitzero"`
	Checkpoint Ref `json:"checkpoint"`
}

// Verified is what the fresh process found.
type Verified struct {
	Rows     int     `json:"rows"`
	MaxDiff  float64 `json:"max_diff"`  // |log p - log p of the checkpoint|, per token, largest over rows
	FromBase float64 `json:"from_base"` // |log p - log p of the base|, per token, largest over rows
}

// AliasInput asks to move an alias.
type AliasInput struct {
	RunID   string  `json:"run_id"`
	Version Version `json:"version"`
	Alias   string  `json:"alias"`
	// Guard: the alias must still be what the gate compared with. Otherwise the move wins any race.
	Guard  bool `json:"guard"`
	Expect Pin  `json:"expect"`
}

// Moved is an alias after its move.
type Moved struct {
	Alias      string `json:"alias"`
	Generation int64  `json:"generation"`
	From       int    `json:"from"` // version before, 0 if none
	To         int    `json:"to"`
}

// PinInput asks what an alias means now.
type PinInput struct {
	Variant string `json:"variant"`
	Alias   string `json:"alias"`
}

// ReportInput asks for the HTML report.
type ReportInput struct {
	RunID    string    `json:"run_id"`
	Recipe   Ref       `json:"recipe"`
	Pins     Ref       `json:"pins"`
	Data     Data      `json:"data"`
	Trained  Trained   `json:"trained"`
	Scored   []Scored  `json:"scored"`
	Decision Decision  `json:"decision"`
	Samples  Ref       `json:"samples"`
	Version  Version   `json:"version"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"` // from Started on
}

// Reported is where the report is.
type Reported struct {
	Report Ref    `json:"report"`
	URI    string `json:"uri"`
}

// CleanupInput removes what a run that ended early left half done.
type CleanupInput struct {
	RunID   string `json:"run_id"`
	Variant string `json:"variant,omitempty"` // none: the run never got to know it
}

// Cleaned counts what went of checkpoints.
type Cleaned struct {
	Objects int `json:"objects"`
}
