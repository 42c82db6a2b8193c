package recipes

import (
	"fmt"
	"math"
)

// Hardware is a class of machine.
type Hardware struct {
	Name        string
	Devices     int
	DeviceBytes int64 // memory of one device; 0: the machine's own
}

// HardwareOf knows every class that a recipe may name.
func HardwareOf(name string) (Hardware, error) {
	switch name {
	case "cpu":
		return Hardware{"cpu", 1, 0}, nil
	case "8xh100":
		return Hardware{"8xh100", 8, 80e9}, nil
	}
	return Hardware{}, fmt.Errorf("unknown hardware %s", quote(name))
}

// DataSize is what is known of the training split; the zero value is nothing yet.
type DataSize struct {
	Sequences int64 // packs or pairs
	Tokens    int64 // in all of them
}

// Plan is what a run will take, reckoned before anything runs.
type Plan struct {
	Parameters         int64  `json:"parameters"`        // of the base
	ActiveParameters   int64  `json:"active_parameters"` // that one token visits
	BaseBytes          int64  `json:"base_bytes"`
	Hardware           string `json:"hardware"`
	Devices            int    `json:"devices"`
	DeviceBytes        int64  `json:"device_bytes"` // memory of one; 0 unknown
	BaseBytesPerDevice int64  `json:"base_bytes_per_device"`
	AdapterParameters  int64  `json:"adapter_parameters"`
	AdapterBytes       int64  `json:"adapter_bytes"`  // F32, as in a checkpoint
	TrainingBytes      int64  `json:"training_bytes"` // adapter, gradient sums, both moments, in F32
	Steps              int64  `json:"steps"`          // 0: unknown until the data are prepared
	Sequences          int64  `json:"sequences"`      // that are trained on, repeats counted
	Tokens             int64  `json:"tokens"`         // that are trained on, repeats counted; see TokensExact
	TokensExact        bool   `json:"tokens_exact"`   // otherwise an upper bound: every sequence full
	Fits               bool   `json:"fits"`           // the base leaves room on each device
}

// NewPlan reckons a recipe over a base. It reads nothing and needs no such hardware.
func NewPlan(r *Recipe, s BaseShape, data DataSize) (Plan, error) {
	hw, err := HardwareOf(r.Resources.Hardware)
	if err != nil {
		return Plan{}, r.Faultf("resources.hardware", "%v", err)
	}
	p := Plan{Hardware: hw.Name, Devices: hw.Devices, DeviceBytes: hw.DeviceBytes, BaseBytes: s.Bytes()}
	p.Parameters, p.ActiveParameters = s.Parameters()
	replicated := 2 * s.replicated()
	split := p.BaseBytes - replicated
	p.BaseBytesPerDevice = replicated + (split+int64(hw.Devices)-1)/int64(hw.Devices)
	if p.AdapterParameters, err = s.AdapterParameters(r.Adapter.R, r.Adapter.TargetModules); err != nil {
		return Plan{}, r.Faultf("adapter.target_modules", "%v", err)
	}
	p.AdapterBytes, p.TrainingBytes = 4*p.AdapterParameters, 16*p.AdapterParameters
	perDevice := p.BaseBytesPerDevice + p.TrainingBytes/int64(hw.Devices)
	p.Fits = hw.DeviceBytes == 0 || perDevice < hw.DeviceBytes
	p.length(r, data)
	return p, nil
}

// length reckons steps and tokens.
func (p *Plan) length(r *Recipe, data DataSize) {
	batch := int64(r.Train.GlobalBatchSize)
	epochSteps := (data.Sequences + batch - 1) / batch
	p.Steps = int64(r.Train.MaxSteps)
	if p.Steps == 0 {
		p.Steps = int64(math.Ceil(r.Train.NumEpochs * float64(epochSteps)))
	}
	p.Sequences = p.Steps * batch
	if data.Sequences > 0 { // the last step of an epoch may be short
		p.Sequences = p.Steps/epochSteps*data.Sequences + p.Steps%epochSteps*batch
	}
	if data.Sequences > 0 && data.Tokens > 0 {
		p.Tokens = int64(math.Round(float64(data.Tokens) * float64(p.Sequences) / float64(data.Sequences)))
		p.TokensExact = p.Sequences%data.Sequences == 0
		return
	}
	p.Tokens = p.Sequences * int64(r.Data.SequenceLen)
	if r.Method == DPO {
		p.Tokens *= 2 // each half of a pair
	}
}
