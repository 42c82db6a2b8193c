package peftread_test

import (
	"encoding/binary"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/graft-ml/graft/adapters/peftread"
	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// An adapter that PEFT wrote (testdata/fused.py) adds to every weight what PEFT says that it adds.
func TestGolden(t *testing.T) {
	a, err := peftread.Read(peftread.Dir("testdata/fused"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("testdata/fused/deltas.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	want, err := safetensors.Open(f, fi.Size())
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Tensors) != 2*len(want.Tensors()) || len(a.Tensors) != 8 {
		t.Fatalf("%d tensors for %d weights", len(a.Tensors), len(want.Tensors()))
	}
	for i := 0; i < len(a.Tensors); i += 2 {
		module := a.Tensors[i].Name[:len(a.Tensors[i].Name)-len(".lora_A")]
		got, shape := delta(a.Tensors[i], a.Tensors[i+1], a.Config.Scale())
		info, ok := want.Lookup(module)
		if !ok || !slices.Equal(info.Shape, shape) {
			t.Errorf("%s: shape %v, PEFT has %v", module, shape, info.Shape)
			continue
		}
		raw := make([]byte, info.End-info.Begin)
		if err := want.ReadTensor(module, raw); err != nil {
			t.Fatal(err)
		}
		for j, x := range got {
			if w := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:]))); math.Abs(x-w) > 1e-6 {
				t.Errorf("%s: element %d is %g, PEFT has %g", module, j, x, w)
				break
			}
		}
	}
}

// delta is scale·B·A: [out, in], or [E, out, in] for stacks.
func delta(a, b peftread.Tensor, scale float64) ([]float64, []int) {
	experts, as, bs := 1, a.Shape, b.Shape
	if len(as) == 3 {
		experts, as, bs = as[0], as[1:], bs[1:]
	}
	r, in, out := as[0], as[1], bs[0]
	var d []float64
	for e := range experts {
		for o := range out {
			for i := range in {
				var sum float64
				for k := range r {
					sum += float64(b.Data[(e*out+o)*r+k]) * float64(a.Data[(e*r+k)*in+i])
				}
				d = append(d, scale*sum)
			}
		}
	}
	if len(a.Shape) == 3 {
		return d, []int{experts, out, in}
	}
	return d, []int{out, in}
}
