package pretrain

// What the tests of this package reach inside.
var (
	EncodeFP8 = encodeFP8
	DecodeFP8 = decodeFP8
	Quantize  = quantize
	BFloat16  = bfloat16
	Pack      = pack
	BatchOf   = batch
	Pieces    = pieces
)

// Window is one row of a batch.
type Window = window

// NewStage is a stage over windows that are given.
func NewStage(length, rows int, windows []Window, seed uint64) Stage {
	return Stage{Length: length, Rows: rows, windows: windows, seed: seed}
}
