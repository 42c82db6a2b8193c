package lora

import (
	"fmt"
	"math"
	"strings"
)

// AllLinear targets every projection of attention and of the routed experts. The router is not one.
const AllLinear = "all-linear"

// Config is the shape of an adapter, in PEFT's terms.
type Config struct {
	R             int      // rank
	Alpha         float64  // scale numerator
	Dropout       float64  // on a module's input in training; only 0 is implemented, anything else is refused
	TargetModules []string // see Select
	RSLoRA        bool     // scale alpha/sqrt(r) instead of alpha/r (Kalajdzievski 2023, arXiv:2312.03732)
}

// Scale multiplies B·A.
func (c Config) Scale() float64 {
	if c.RSLoRA {
		return c.Alpha / math.Sqrt(float64(c.R))
	}
	return c.Alpha / float64(c.R)
}

// Fault is an adapter configuration or adapter that does not fit the base: for the user to mend.
type Fault struct{ Reasons []string }

func (f *Fault) Error() string { return "adapter: " + strings.Join(f.Reasons, "; ") }

// UserFault marks the error as one that a retry cannot mend.
func (f *Fault) UserFault() bool { return true }

func (f *Fault) addf(format string, args ...any) {
	f.Reasons = append(f.Reasons, fmt.Sprintf(format, args...))
}

func (f *Fault) err() error {
	if len(f.Reasons) == 0 {
		return nil
	}
	return f
}

func (c Config) validate(f *Fault) {
	if c.R < 1 {
		f.addf("lora_r: must be at least 1 (got %d)", c.R)
	}
	if !(c.Alpha > 0) || math.IsInf(c.Alpha, 0) {
		f.addf("lora_alpha: must be above 0 (got %g)", c.Alpha)
	}
	if c.Dropout != 0 {
		f.addf("lora_dropout: only 0 is supported (got %g)", c.Dropout)
	}
	if len(c.TargetModules) == 0 {
		f.addf("target_modules: none given")
	}
}
