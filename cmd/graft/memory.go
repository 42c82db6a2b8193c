package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// trainerMemory is the limit of a local trainer child: three quarters of this machine's memory, so that one
// that grows without bound ends alone. 0, no limit, where that is not known.
func trainerMemory() int64 {
	if runtime.GOOS != "linux" {
		return 0
	}
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(info)) {
		if kb, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return n * 1024 / 4 * 3
		}
	}
	return 0
}
