package child

import (
	"errors"
	"time"
)

// Config says how to run a trainer child.
type Config struct {
	Command []string // program and arguments
	Env     []string // NAME=VALUE, beside the parent's own environment
	Dir     string   // working directory, empty: the parent's
	// MemoryLimit in bytes is set as RLIMIT_DATA before the child is spoken to, and GOMEMLIMIT to nine
	// tenths of it before it starts. 0: none. Linux only; elsewhere a limit is refused.
	MemoryLimit int64
	// Log is a file that the child's standard error is appended to. Empty: only its last lines are kept.
	Log string

	Startup time.Duration // until Ready; 0: 60 s
	Silence time.Duration // without any message: hung; 0: 60 s
	Stall   time.Duration // alive without progress: hung; 0: 20 min
	Grace   time.Duration // from asking to stop or to shut down until it is killed; 0: 30 s
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Command) == 0 {
		return c, errors.New("trainer child: no command")
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&c.Startup, time.Minute}, {&c.Silence, time.Minute}, {&c.Stall, 20 * time.Minute}, {&c.Grace, 30 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	return c, nil
}
