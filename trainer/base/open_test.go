package base_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/trainer/base"
)

// files are a base in memory; read failures can be put in.
type files map[string][]byte

func (f files) Open(name string) (io.ReaderAt, int64, error) {
	data, ok := f[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return bytes.NewReader(data), int64(len(data)), nil
}

// golden reads a base of engine/testdata, made by transformers.
func golden(t *testing.T, name string) files {
	t.Helper()
	f := files{}
	paths, err := filepath.Glob("../engine/testdata/" + name + "/*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files of %s: %v", name, err)
	}
	for _, p := range paths {
		if f[filepath.Base(p)], err = os.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

const (
	part1 = "model-00001-of-00002.safetensors"
	part2 = "model-00002-of-00002.safetensors"
)

func opened(t *testing.T, f files) *base.Base {
	t.Helper()
	b, err := base.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rewrite changes the tensors of a weight file.
func rewrite(t *testing.T, f files, name string, change func(map[string]safetensors.Tensor)) {
	t.Helper()
	file, err := safetensors.Open(bytes.NewReader(f[name]), int64(len(f[name])))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]safetensors.Tensor{}
	for _, info := range file.Tensors() {
		data := make([]byte, info.End-info.Begin)
		if err := file.ReadTensor(info.Name, data); err != nil {
			t.Fatal(err)
		}
		all[info.Name] = safetensors.Tensor{Name: info.Name, DType: info.DType, Shape: info.Shape, Data: data}
	}
	change(all)
	var list []safetensors.Tensor
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	var out bytes.Buffer
	if err := safetensors.Write(&out, nil, list); err != nil {
		t.Fatal(err)
	}
	f[name] = out.Bytes()
}

func config(t *testing.T, f files, change func(map[string]any)) {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal(f["config.json"], &c); err != nil {
		t.Fatal(err)
	}
	change(c)
	f["config.json"], _ = json.Marshal(c)
}

// find gives the file that holds a tensor.
func find(t *testing.T, f files, tensor string) string {
	t.Helper()
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(f["model.safetensors.index.json"], &index); err != nil {
		t.Fatal(err)
	}
	return index.Map[tensor]
}

func TestFaultsAreNamed(t *testing.T) {
	const (
		down  = "model.layers.1.mlp.experts.3.down_proj.weight"
		scale = "model.layers.1.mlp.experts.3.down_proj.weight_scale_inv"
		query = "model.layers.0.self_attn.q_proj.weight"
		norm  = "model.layers.0.self_attn.q_norm.weight"
	)
	edit := func(tensor string, change func(*safetensors.Tensor)) func(*testing.T, files) {
		return func(t *testing.T, f files) {
			rewrite(t, f, find(t, f, tensor), func(all map[string]safetensors.Tensor) {
				x := all[tensor]
				delete(all, tensor)
				if change != nil {
					change(&x)
					all[x.Name] = x
				}
			})
		}
	}
	set := func(name string, value any) func(*testing.T, files) {
		return func(t *testing.T, f files) { config(t, f, func(c map[string]any) { c[name] = value }) }
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, files)
		want   []string // all in the error
	}{
		"missing tensor": {edit(down, nil), []string{"tensor " + down + ": missing"}},
		"missing scale":  {edit(scale, nil), []string{"tensor " + scale + ": missing"}},
		"renamed": {edit(down, func(x *safetensors.Tensor) { x.Name = "stranger.weight" }),
			[]string{"tensor " + down + ": missing", "tensor stranger.weight: unexpected"}},
		"misshapen": {edit(query, func(x *safetensors.Tensor) { x.Shape = []int{x.Shape[1], x.Shape[0]} }),
			[]string{"tensor " + query + ": shape [20 24], want [24 20]"}},
		"scale misshapen": {edit(scale, func(x *safetensors.Tensor) { x.Shape = []int{1, len(x.Data) / 4} }),
			[]string{"tensor " + scale + ": shape [1 6], want [3 2]"}},
		"dtype": {edit(norm, func(x *safetensors.Tensor) { x.DType = safetensors.I16 }),
			[]string{"tensor " + norm + ": dtype I16: not supported"}},
		"expert of another dtype": {edit(down, func(x *safetensors.Tensor) {
			x.DType, x.Data = safetensors.BF16, make([]byte, 2*len(x.Data))
		}), []string{"tensor " + down + ": dtype BF16", scale + ": unexpected"}},
		"NaN code": {edit(down, func(x *safetensors.Tensor) { x.Data[2*12+5] = 0x7F }),
			[]string{"tensor " + down + ": NaN code 0x7F at [2 5]"}},
		"negative NaN code": {edit(down, func(x *safetensors.Tensor) { x.Data[0] = 0xFF }),
			[]string{"tensor " + down + ": NaN code 0xFF at [0 0]"}},
		"infinite scale": {edit(scale, func(x *safetensors.Tensor) { copy(x.Data[4:], []byte{0, 0, 0x80, 0x7F}) }),
			[]string{"tensor " + scale + ": +Inf at [0 1]"}},
		"NaN norm": {edit(norm, func(x *safetensors.Tensor) { copy(x.Data[2:], []byte{0xC0, 0x7F}) }),
			[]string{"tensor " + norm + ": not a finite number at [1]"}},
		"truncated":    {func(_ *testing.T, f files) { f[part1] = f[part1][:len(f[part1])-1] }, []string{part1}},
		"file missing": {func(_ *testing.T, f files) { delete(f, part2) }, []string{part2 + ": no such file"}},
		"no weights":   {func(_ *testing.T, f files) { delete(f, "model.safetensors.index.json") }, []string{"model.safetensors: no such file"}},
		"no config":    {func(_ *testing.T, f files) { delete(f, "config.json") }, []string{"config.json: no such file"}},
		"config cut":   {func(_ *testing.T, f files) { f["config.json"] = f["config.json"][:50] }, []string{"config.json: not JSON: it ends too early"}},
		"index cut":    {func(_ *testing.T, f files) { f["model.safetensors.index.json"] = []byte("{") }, []string{"index.json"}},
		"index escapes": {func(_ *testing.T, f files) {
			f["model.safetensors.index.json"] = []byte(`{"weight_map":{"a":"../x.safetensors"}}`)
		}, []string{`file name "../x.safetensors"`}},
		"architecture":     {set("model_type", "llama5"), []string{`model_type "llama5": unknown architecture (known: [qwen3_moe])`}},
		"unknown field":    {set("attention_sinks", 4), []string{"attention_sinks: unknown field"}},
		"activation":       {set("hidden_act", "gelu"), []string{`hidden_act: only "silu" is supported (got "gelu")`}},
		"bias":             {set("attention_bias", true), []string{"attention_bias: only false is supported (got true)"}},
		"dense layers":     {set("mlp_only_layers", []int{1}), []string{"mlp_only_layers: only [] is supported (got [1])"}},
		"sliding window":   {set("use_sliding_window", true), []string{"use_sliding_window"}},
		"scaled positions": {set("rope_parameters", map[string]any{"rope_type": "yarn", "rope_theta": 1, "factor": 4}), []string{"rope_parameters.rope_type", "rope_parameters.factor: unknown field"}},
		"heads":            {set("num_key_value_heads", 3), []string{"num_key_value_heads: 3 does not divide num_attention_heads 4"}},
		"negative":         {set("num_hidden_layers", -1), []string{"num_hidden_layers: must be from 1"}},
		"huge":             {set("hidden_size", 1<<40), []string{"hidden_size: must be from 1"}},
		"endless experts": {func(t *testing.T, f files) {
			config(t, f, func(c map[string]any) { c["num_hidden_layers"], c["num_local_experts"] = 4000, 10000 })
		}, []string{"num_experts: 10000 in 4000 layers"}},
		"wrong type":        {set("vocab_size", "many"), []string{"vocab_size"}},
		"missing field":     {func(t *testing.T, f files) { config(t, f, func(c map[string]any) { delete(c, "head_dim") }) }, []string{"head_dim: missing"}},
		"quantised by else": {set("quantization_config", map[string]any{"quant_method": "awq"}), []string{"quantization_config.quant_method", "weight_block_size"}},
		"not quantised":     {func(t *testing.T, f files) { config(t, f, func(c map[string]any) { delete(c, "quantization_config") }) }, []string{"dtype F8_E4M3, but config.json quantises no such tensor"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := golden(t, "tiny-fp8")
			c.damage(t, f)
			_, err := base.Open(f)
			var user interface{ UserFault() bool }
			if err == nil || !errors.As(err, &user) || !user.UserFault() {
				t.Fatalf("no fault of the user: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

// A store that fails is nobody's bad base.
type failing struct{ files }

type failingReader struct{}

func (failingReader) ReadAt([]byte, int64) (int, error) { return 0, errors.New("connection reset") }

func (f failing) Open(name string) (io.ReaderAt, int64, error) {
	if strings.HasSuffix(name, ".safetensors") {
		return failingReader{}, 1 << 20, nil
	}
	return f.files.Open(name)
}

func TestReadErrorsAreNotFaults(t *testing.T) {
	_, err := base.Open(failing{golden(t, "tiny-fp8")})
	var user interface{ UserFault() bool }
	if err == nil || errors.As(err, &user) || !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("error %v", err)
	}
}

func TestDigest(t *testing.T) {
	digest := opened(t, golden(t, "tiny-fp8")).Digest()
	if len(digest) != 64 || digest != opened(t, golden(t, "tiny-fp8")).Digest() {
		t.Fatalf("digest %q", digest)
	}
	joined := golden(t, "tiny-fp8") // the same tensors in one file
	rewrite(t, joined, part1, func(all map[string]safetensors.Tensor) {
		rewrite(t, joined, part2, func(more map[string]safetensors.Tensor) { maps.Copy(all, more) })
	})
	joined["model.safetensors"] = joined[part1]
	delete(joined, "model.safetensors.index.json")
	if got := opened(t, joined).Digest(); got != digest {
		t.Errorf("one file gives %s, two %s", got, digest)
	}
	for name, change := range map[string]func(files){
		"a code":   func(f files) { f[part1][len(f[part1])-1] ^= 1 },
		"a weight": func(f files) { f[part2][len(f[part2])-1] ^= 1 },
		"config":   func(f files) { config(t, f, func(c map[string]any) { c["rms_norm_eps"] = 1e-5 }) },
	} {
		f := golden(t, "tiny-fp8")
		change(f)
		if opened(t, f).Digest() == digest {
			t.Errorf("%s changed, the digest did not", name)
		}
	}
}

func TestCounts(t *testing.T) {
	b := opened(t, golden(t, "tiny-fp8"))
	n, err := b.Config.Counts()
	if err != nil {
		t.Fatal(err)
	}
	// By hand: hidden 20, heads 4+2+2 of 6, vocabulary 40, 5 experts of 12, top 2, 2 layers.
	attention, experts := 24*20+12*20+12*20+20*24, 5*3*12*20
	rest := 2*40*20 + 20 + 2*(20+6+6+20+5*20)
	if want := int64(rest + 2*(attention+experts)); n.Parameters != want {
		t.Errorf("%d parameters, want %d", n.Parameters, want)
	}
	if want := n.Parameters - int64(2*experts*3/5); n.Active != want {
		t.Errorf("%d active, want %d", n.Active, want)
	}
	if n.Bytes != b.Bytes() {
		t.Errorf("%d bytes planned, %d held", n.Bytes, b.Bytes())
	}
	var parameters int64
	for _, p := range b.Params {
		parameters += int64(p.Size())
	}
	if parameters != n.Parameters {
		t.Errorf("%d parameters held, %d counted", parameters, n.Parameters)
	}
}

func FuzzParseConfig(f *testing.F) {
	good, err := os.ReadFile("../engine/testdata/tiny-fp8/config.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"model_type":"qwen3_moe","num_experts":1e400}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := base.ParseConfig(data)
		if err != nil {
			return
		}
		if n, err := c.Counts(); err != nil || n.Parameters <= 0 || n.Active <= 0 || n.Bytes <= 0 {
			t.Errorf("accepted %+v, counts %+v: %v", c, n, err)
		}
		if math.IsNaN(c.RopeTheta) || c.Heads%c.KVHeads != 0 {
			t.Errorf("accepted %+v", c)
		}
	})
}
