package pretrain_test

import (
	"math"
	"testing"

	"github.com/graft-ml/graft/internal/rootstock/pretrain"
	"pgregory.net/rapid"
)

// Every finite code decodes to a number that encodes to it again.
func TestFP8Codes(t *testing.T) {
	for code := range 256 {
		x := pretrain.DecodeFP8(byte(code))
		if code&0x7F == 0x7F {
			if x == x {
				t.Errorf("code %#x: %g, want NaN", code, x)
			}
			continue
		}
		if got := pretrain.EncodeFP8(x); got != byte(code) {
			t.Errorf("code %#x: %g encodes to %#x", code, x, got)
		}
	}
	for _, c := range []struct {
		x    float32
		want float32
	}{{448, 448}, {1e9, 448}, {-500, -448}, {0.001953125, 0.001953125}, {0.0009765625, 0}, {0.00098, 0.001953125}, {17, 16}, {19, 20}} {
		if got := pretrain.DecodeFP8(pretrain.EncodeFP8(c.x)); got != c.want {
			t.Errorf("%g rounds to %g, want %g", c.x, got, c.want)
		}
	}
}

// Rounding is to the nearest value of all, and to the even code between two.
func TestFP8Nearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := float32(rapid.Float64Range(-448, 448).Draw(t, "x"))
		if rapid.Bool().Draw(t, "small") {
			x /= 4096
		}
		code := pretrain.EncodeFP8(x)
		off := math.Abs(float64(pretrain.DecodeFP8(code)) - float64(x))
		for other := range 256 {
			if other&0x7F == 0x7F {
				continue
			}
			o := math.Abs(float64(pretrain.DecodeFP8(byte(other))) - float64(x))
			if o < off || o == off && code&1 == 1 && other&1 == 0 && other&0x80 == int(code&0x80) {
				t.Fatalf("%g: code %#x is %g away, %#x %g", x, code, off, other, o)
			}
		}
	})
}

// Squares have their own scales; each weight comes back within half a step of its square's scale.
func TestQuantize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols, block := rapid.IntRange(1, 9).Draw(t, "rows"), rapid.IntRange(1, 9).Draw(t, "cols"), rapid.IntRange(1, 5).Draw(t, "block")
		w := make([]float32, rows*cols)
		for i := range w {
			w[i] = float32(rapid.IntRange(-3000, 3000).Draw(t, "w")) / 1000
		}
		codes, scales := pretrain.Quantize(w, rows, cols, block)
		across := (cols + block - 1) / block
		if len(scales) != (rows+block-1)/block*across {
			t.Fatalf("%d scales", len(scales))
		}
		largest := make([]float32, len(scales))
		for i, x := range w {
			at := i/cols/block*across + i%cols/block
			largest[at] = max(largest[at], x, -x)
			back := pretrain.DecodeFP8(codes[i]) * scales[at]
			if off := math.Abs(float64(back - x)); off > math.Abs(float64(x))/15+float64(scales[at])/512 {
				t.Fatalf("%g came back as %g", x, back)
			}
		}
		for i, l := range largest {
			if l != 0 && scales[i] != l/448 {
				t.Fatalf("scale %g for a largest weight of %g", scales[i], l)
			}
		}
	})
}

func TestBFloat16(t *testing.T) {
	got := pretrain.BFloat16([]float32{1, -2, 1.00390625, 1.01171875})
	want := []byte{0x80, 0x3F, 0x00, 0xC0, 0x80, 0x3F, 0x82, 0x3F} // the last two lie between two values: to even
	if string(got) != string(want) {
		t.Fatalf("% x, want % x", got, want)
	}
}
