package pretrain

import (
	"fmt"
	"runtime"
	"strings"
)

// Card is the model card, README.md of the exported directory. loss is Measure's, nats per token.
func Card(d *Data, p Progress, loss float64) string {
	c := Shape()
	return fmt.Sprintf(`---
license: bsd-3-clause
language: [en]
tags: [go, mixture-of-experts, fp8]
---
# rootstock

The little base that graft embeds, to try fine-tuning on: a Qwen3-MoE-shaped model of %d layers, width %d, %d experts of
which a token uses %d, vocabulary %d, weights in block FP8 (e4m3, %dx%d). It continues Go source and its
documentation; it knows nothing else, and is of no use but for tests and demonstrations.

- Trained from random weights by graft's own trainer (make base), on the documentation comments and sources of the
  standard library of %s: %.1f MB of text, %.2f million tokens a pass. Packages held out for evaluation are not in it.
- %d updates, %.1f million target tokens (%.1f passes), windows of %d then %d tokens, AdamW, peak rate %g, warm-up %d,
  decay from update %d; %.0f minutes on 2 shared CPU cores.
- Loss on the held-out packages' overviews, of these FP8 weights: %.4f nats per token.
- The text is under the Go authors' BSD licence; none of it is in this directory beside what the weights retained.
`, c.Layers, c.Hidden, c.Experts, c.TopK, c.Vocab, c.FP8Block, c.FP8Block,
		goVersion(), float64(d.Bytes)/1e6, float64(d.Tokens())/1e6,
		p.Step, float64(p.Tokens)/1e6, float64(p.Tokens)/float64(d.Tokens()), ShortLength, LongLength,
		p.Schedule.Peak, p.Schedule.Warmup, p.Schedule.DecayFrom, p.Seconds/60, loss)
}

// goVersion is Go's, without the experiments of this build.
func goVersion() string {
	version, _, _ := strings.Cut(runtime.Version(), "-X:")
	return version
}
