package peftread

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// matrix is a 2-D tensor of the file.
type matrix struct {
	rows, cols int
	data       []float32
}

// factors are the two matrices of one adapted map, under the file's key.
type factors struct{ a, b *matrix }

// contents is a file's tensors by kind of key.
type contents struct {
	pairs      map[string]*factors
	dense      []string // keys of plain linear modules
	fused      []string // containers whose stacks are parameters: ….experts
	containers []string // containers whose experts are modules: ….experts
}

const keyPrefix = "base_model.model."

var expertKey = regexp.MustCompile(`^(.*\.experts)\.(0|[1-9][0-9]{0,8})\.(gate_proj|up_proj|down_proj)$`)

// collect reads all tensors and sorts their keys into kinds. Whatever is not a lora_A or lora_B weight is a fault.
func collect(f *safetensors.File, fault *Fault) *contents {
	c := &contents{pairs: map[string]*factors{}}
	for _, info := range f.Tensors() {
		key, isA, err := splitKey(info.Name)
		if err == nil && (len(info.Shape) != 2 || info.Shape[0] < 1 || info.Shape[1] < 1) {
			err = fmt.Errorf("shape %v, must be a matrix with elements", info.Shape)
		}
		if err != nil {
			fault.addf("%s: %v", info.Name, err)
			continue
		}
		data, err := values(f, info)
		if err != nil {
			fault.addf("%s: %v", info.Name, err)
			continue
		}
		p := c.pairs[key]
		if p == nil {
			p = &factors{}
			c.pairs[key] = p
		}
		m := &matrix{info.Shape[0], info.Shape[1], data}
		if isA {
			p.a = m
		} else {
			p.b = m
		}
	}
	c.sort(fault)
	return c
}

func splitKey(name string) (key string, isA bool, err error) {
	rest, ok := strings.CutPrefix(name, keyPrefix)
	if !ok {
		return "", false, fmt.Errorf("does not begin with %s", keyPrefix)
	}
	if key, ok = strings.CutSuffix(rest, ".lora_A.weight"); ok {
		return key, true, nil
	}
	if key, ok = strings.CutSuffix(rest, ".lora_B.weight"); ok {
		return key, false, nil
	}
	return "", false, fmt.Errorf("neither a lora_A nor a lora_B weight")
}

func (c *contents) sort(fault *Fault) {
	fused, containers := map[string]bool{}, map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(c.pairs)) {
		if p := c.pairs[key]; p.a == nil || p.b == nil {
			fault.addf("%s%s: has only one of lora_A and lora_B", keyPrefix, key)
			continue
		}
		container, inner := strings.CutSuffix(key, ".base_layer")
		switch m := expertKey.FindStringSubmatch(key); {
		case m != nil:
			containers[m[1]] = true
		case strings.HasSuffix(container, ".experts"):
			fused[container] = true
		case inner:
			fault.addf("%s%s: base_layer outside experts", keyPrefix, key)
		default:
			c.dense = append(c.dense, key)
		}
	}
	c.fused, c.containers = slices.Sorted(maps.Keys(fused)), slices.Sorted(maps.Keys(containers))
}

// expert finds one expert's map.
func (c *contents) expert(container string, e int, leaf string) *factors {
	return c.pairs[container+"."+strconv.Itoa(e)+"."+leaf]
}
