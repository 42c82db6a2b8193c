package protocol

// Metrics is the record of one optimiser step: a line of metrics.jsonl, under the names that
// transformers and TRL use. Means are over the whole step (its supervised tokens, or its pairs).
type Metrics struct {
	Step            int     `json:"step"`   // counted from 1
	Epoch           float64 `json:"epoch"`  // sequences seen / sequences of the split
	Tokens          int64   `json:"tokens"` // seen since step 1, without padding; both halves of a pair
	Loss            float64 `json:"loss"`
	GradNorm        float64 `json:"grad_norm"`         // before clipping
	LearningRate    float64 `json:"learning_rate"`     // that this step used
	TokensPerSecond float64 `json:"tokens_per_second"` // of this step; the one field that a resumed run does not repeat
	*Preference
}

// Preference holds what TRL's DPOTrainer logs. Rewards are beta·(log p − log p_reference).
type Preference struct {
	RewardsChosen     float64 `json:"rewards/chosen"`
	RewardsRejected   float64 `json:"rewards/rejected"`
	RewardsMargins    float64 `json:"rewards/margins"`
	RewardsAccuracies float64 `json:"rewards/accuracies"` // share of pairs with chosen > rejected; a tie is not one
	LogpsChosen       float64 `json:"logps/chosen"`       // mean over pairs of the completion's summed log-probability
	LogpsRejected     float64 `json:"logps/rejected"`
}

// Record is one example of a scored split. Log-probabilities are natural and summed over the
// supervised tokens. SFT rows fill LogProb and Tokens; pairs fill Chosen and Rejected.
type Record struct {
	Row      string  `json:"row"` // row id, 32 hex digits
	LogProb  float64 `json:"log_prob"`
	Tokens   int     `json:"tokens"`
	Chosen   *Half   `json:"chosen,omitempty"`
	Rejected *Half   `json:"rejected,omitempty"`
}

// Half of a pair.
type Half struct {
	LogProb float64 `json:"log_prob"`
	Tokens  int     `json:"tokens"`
}
