package recipes

// Struct tags, read by fields.go, are the one place where a field's limits and defaults stand:
//
//	yaml         name in the file; ",required"
//	default      value when the line is missing; default_sft and default_dpo differ by method
//	min, max     inclusive limits; above, below: exclusive ones
//	enum         choices, separated by spaces
//	methods      the field belongs to these methods only
//	effect       "none": the field does not change what is trained, so it is left out of the training digest

// Recipe describes one fine-tuning: what to train, on which data, how to judge it and where to publish it.
type Recipe struct {
	// Version of this schema.
	Version int `yaml:"version" default:"1" min:"1" max:"1"`
	// The variant that this recipe trains, as team/variant. A published version of it is team/variant@3.
	Variant string `yaml:"variant,required" effect:"none"`
	// The frozen base model: a name from graft.yaml, a URI such as s3://models/name, a directory, or builtin:rootstock, the little base inside graft.
	BaseModel string `yaml:"base_model,required"`
	// How to train: sft (supervised fine-tuning on prompts and completions) or dpo (direct preference optimisation on pairs).
	Method string `yaml:"method,required" enum:"sft dpo"`
	// What DPO measures the adapter against: init (the adapter where training starts), base (the base alone), or a version such as team/variant@3. An alias is pinned at submit.
	Reference string `yaml:"reference" default_dpo:"init" methods:"dpo"`

	Adapter   Adapter   `yaml:"adapter"`
	Data      Data      `yaml:"data,required"`
	Train     Train     `yaml:"train"`
	Evaluate  Evaluate  `yaml:"evaluate" effect:"none"`
	Publish   Publish   `yaml:"publish" effect:"none"`
	Schedule  *Schedule `yaml:"schedule" effect:"none"`
	Resources Resources `yaml:"resources" effect:"none"`

	// Written by graft into a resolved recipe: the --set overrides that are already applied in it.
	Overrides []string `yaml:"overrides" effect:"none"`

	places map[string]Pos // of the fields that were written
}

// Adapter is the shape of the LoRA adapter.
type Adapter struct {
	// Kind of adapter.
	Type string `yaml:"type" default:"lora" enum:"lora"`
	// Rank of the two low-rank factors.
	R int `yaml:"lora_r" default:"16" min:"1" max:"1024"`
	// The adapter's output is scaled by lora_alpha / lora_r.
	Alpha float64 `yaml:"lora_alpha" default:"32" above:"0" max:"65536"`
	// Dropout on the adapter's input: not available yet, so 0.
	Dropout float64 `yaml:"lora_dropout" default:"0" min:"0" max:"0"`
	// Linear layers that get an adapter: all-linear (attention and routed experts, never the router) or a list of their names, such as [q_proj, v_proj].
	TargetModules Strings `yaml:"target_modules" default:"all-linear"`
	// Scale by lora_alpha / sqrt(lora_r) instead, which keeps high ranks stable.
	UseRSLoRA bool `yaml:"use_rslora" default:"false"`
	// Start from a published adapter instead of a new one.
	InitFrom *InitFrom `yaml:"init_from"`
}

// InitFrom names a published adapter to go on from.
type InitFrom struct {
	// The adapter, as team/variant@live or team/variant@3; without @ the live one. Pinned at submit.
	Variant string `yaml:"variant,required"`
	// What to do when that variant has no such version yet: error, or base (start a new adapter).
	IfMissing string `yaml:"if_missing" default:"error" enum:"error base"`
}

// Data says what to train on.
type Data struct {
	// Longest sequence in tokens: a pack of examples (sft), or each half of a pair (dpo).
	SequenceLen int `yaml:"sequence_len" default:"2048" min:"8" max:"1048576"`
	// Put several short examples into one sequence; they never see each other.
	SamplePacking bool `yaml:"sample_packing" default_sft:"true" default_dpo:"false"`
	// An example longer than sequence_len is cut at its end (truncate), left out and counted (drop), or stops the run (error).
	ExcessLengthStrategy string `yaml:"excess_length_strategy" default:"drop" enum:"drop truncate error"`
	// A row that cannot be trained on (nothing supervised, chosen equal to rejected, an empty column) stops the run (error), or is left out and counted (drop).
	OnInvalid string `yaml:"on_invalid" default:"error" enum:"error drop"`
	// Mix the sequences anew in every epoch, by the seed; false keeps the rows' order.
	Shuffle bool `yaml:"shuffle" default:"true"`
	// Examples kept out of training, for evaluation.
	Split Split `yaml:"split"`
	// Parquet files to read.
	Datasets []Dataset `yaml:"datasets,required"`
}

// Split keeps examples out of training. The same rows are held out in every run: a row's content decides.
type Split struct {
	// Share of the examples that is held out.
	Holdout float64 `yaml:"holdout" default:"0.02" min:"0" max:"0.5"`
	// A column whose rows stay on one side together, so that nothing about a held-out group is trained on.
	Group string `yaml:"group"`
}

// Dataset is a set of Parquet files of one shape.
type Dataset struct {
	// Name in logs, manifests and errors.
	Name string `yaml:"name,required" effect:"none"`
	// Files to read: a URI or path, * and ? match within one folder's names.
	Path string `yaml:"path,required"`
	// Shape of the rows: messages (a chat), prompt-completion, text, or preference (prompt, chosen, rejected).
	Type string `yaml:"type" default_dpo:"preference" enum:"messages prompt-completion text preference"`
	// Names of the columns, where they differ from those that type expects.
	Columns Columns `yaml:"columns"`
}

// Columns maps what a row consists of to the file's column names. What the type does not use stays empty.
type Columns struct {
	// Chat: a list of {role, content}; loss on the assistant's turns.
	Messages string `yaml:"messages"`
	// Plain text; loss on every token.
	Text string `yaml:"text"`
	// What the model is given.
	Prompt string `yaml:"prompt"`
	// What it should answer; loss on these tokens.
	Completion string `yaml:"completion"`
	// The better answer of a pair.
	Chosen string `yaml:"chosen"`
	// The worse answer of a pair.
	Rejected string `yaml:"rejected"`
}

// Train is the optimisation.
type Train struct {
	// Passes over the training split; a fraction ends inside a pass.
	NumEpochs float64 `yaml:"num_epochs" default:"1" above:"0" max:"10000"`
	// End after this many steps instead; 0: num_epochs decides.
	MaxSteps int `yaml:"max_steps" default:"0" min:"0" max:"100000000"`
	// Sequences (packs or pairs) of one step, over all workers and micro-batches.
	GlobalBatchSize int `yaml:"global_batch_size" default:"32" min:"1" max:"1048576"`
	// Sequences of one forward and backward pass: bounds memory, does not change the mathematics.
	MicroBatchSize int `yaml:"micro_batch_size" default:"1" min:"1" max:"1048576"`
	// Instead of global_batch_size: micro-batches of one step.
	GradientAccumulationSteps int `yaml:"gradient_accumulation_steps" min:"1" max:"1048576"`
	// Peak learning rate of AdamW.
	LearningRate float64 `yaml:"learning_rate" default_sft:"2e-4" default_dpo:"5e-6" above:"0" max:"1"`
	// Shape of the learning rate after the warm-up: cosine, linear (both fall to 0) or constant.
	LRScheduler string `yaml:"lr_scheduler" default:"cosine" enum:"cosine linear constant"`
	// Share of the steps over which the learning rate rises from 0.
	WarmupRatio float64 `yaml:"warmup_ratio" default:"0.03" min:"0" max:"1"`
	// Instead of warmup_ratio: number of those steps.
	WarmupSteps int `yaml:"warmup_steps" min:"0" max:"100000000"`
	// Cosine only: the learning rate ends at this share of its peak.
	CosineMinLRRatio float64 `yaml:"cosine_min_lr_ratio" default:"0" min:"0" max:"1"`
	// AdamW's decoupled weight decay.
	WeightDecay float64 `yaml:"weight_decay" default:"0" min:"0" max:"10"`
	// AdamW's first-moment decay.
	AdamBeta1 float64 `yaml:"adam_beta1" default:"0.9" min:"0" below:"1"`
	// AdamW's second-moment decay.
	AdamBeta2 float64 `yaml:"adam_beta2" default:"0.999" min:"0" below:"1"`
	// AdamW's epsilon.
	AdamEpsilon float64 `yaml:"adam_epsilon" default:"1e-8" above:"0" max:"1"`
	// Gradients are scaled down to this norm; 0: no clipping.
	MaxGradNorm float64 `yaml:"max_grad_norm" default:"1" min:"0" max:"1000000"`
	// DPO: how closely the adapter is held to the reference; higher is closer.
	Beta float64 `yaml:"beta" default_dpo:"0.1" above:"0" max:"1000" methods:"dpo"`
	// DPO: sigmoid (the DPO paper's), hinge, ipo, or robust (with label_smoothing).
	LossType string `yaml:"loss_type" default_dpo:"sigmoid" enum:"sigmoid hinge ipo robust" methods:"dpo"`
	// DPO, sigmoid and robust: the share of pairs assumed to be labelled the wrong way round.
	LabelSmoothing float64 `yaml:"label_smoothing" default_dpo:"0" min:"0" below:"0.5" methods:"dpo"`
	// A checkpoint every so many steps, and at the end; 0: only at the end.
	SaveSteps int `yaml:"save_steps" default:"50" min:"0" max:"100000000" effect:"none"`
	// How many of the newest checkpoints are kept, beside the one with the lowest training loss.
	SaveTotalLimit int `yaml:"save_total_limit" default:"3" min:"1" max:"1000" effect:"none"`
	// Seed of the adapter's first values and of the order of sequences.
	Seed int64 `yaml:"seed" default:"42" min:"0" max:"9007199254740991"`
}

// Evaluate says how the candidate is judged.
type Evaluate struct {
	// What base, live version and candidate are scored on: holdout is the data's own held-out split.
	Suites Strings `yaml:"suites" default:"holdout"`
	// At most this many sequences of a suite are scored, the same for every model; 0: all.
	Limit int `yaml:"limit" default:"0" min:"0" max:"100000000"`
	// Conditions that must all hold before anything is published, such as: holdout.loss < base @95%.
	Gate []GateLine `yaml:"gate"`
	// Held-out prompts that base and candidate answer in the report.
	Samples int `yaml:"samples" default:"2" min:"0" max:"100"`
	// Longest such answer in tokens.
	MaxNewTokens int `yaml:"max_new_tokens" default:"64" min:"1" max:"8192"`
}

// Publish says which aliases move to a version that passed the gate.
type Publish struct {
	// Alias that moves to every version that passed the gate.
	To string `yaml:"to" default:"candidate"`
	// Alias that moves next; without it promotion is by hand.
	Then string `yaml:"then"`
	// With then: none moves it at once, required waits for an approval.
	Approval string `yaml:"approval" default:"none" enum:"none required"`
}

// Schedule trains the recipe again and again.
type Schedule struct {
	// When, as five cron fields: minute, hour, day of month, month, day of week.
	Cron string `yaml:"cron,required"`
	// Time zone of cron, as in Europe/London.
	Timezone string `yaml:"timezone" default:"UTC"`
}

// Resources says what the run needs.
type Resources struct {
	// Class of machine that trains: cpu, or 8xh100 (8 GPUs of 80 GB). It names the queue graft-train-HARDWARE.
	Hardware string `yaml:"hardware" default:"cpu" enum:"cpu 8xh100"`
	// Machines that train one adapter together: one, until more are available.
	Workers int `yaml:"workers" default:"1" min:"1" max:"1"`
}

// Strings is a list that may be written as one bare value.
type Strings []string
