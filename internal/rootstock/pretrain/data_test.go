package pretrain_test

import (
	"bytes"
	"io/fs"
	"runtime"
	"testing"

	"github.com/graft-ml/graft/internal/rootstock"
	"github.com/graft-ml/graft/internal/rootstock/pretrain"
)

// The embedded tokenizer follows from this Go's library and this code alone. When it does not any more, the corpus has
// changed, and the embedded weights are no longer what make base makes.
func TestCorpusIsTheEmbeddedBases(t *testing.T) {
	d, err := pretrain.LoadData(runtime.GOROOT(), t.TempDir(), pretrain.Shape().Vocab, 2048, 1)
	if err != nil {
		t.Fatal(err)
	}
	want, err := fs.ReadFile(rootstock.FS(), "tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(d.TokenizerJSON, want) {
		t.Errorf("another tokenizer from %d bytes of text", d.Bytes)
	}
	for _, stage := range []*pretrain.Stage{&d.Short, &d.Long, &d.Validation} {
		b := stage.Batch(0)
		if err := b.Validate(pretrain.Shape().Vocab); err != nil || b.Rows*b.Len != 2048 {
			t.Errorf("%d rows of %d tokens: %v", b.Rows, b.Len, err)
		}
	}
}
