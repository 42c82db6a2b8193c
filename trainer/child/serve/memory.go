package serve

import (
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/graft-ml/graft/trainer/protocol"
)

// memory reads what the process holds and what it may: zero where the system does not tell.
func memory() protocol.Memory {
	var m protocol.Memory
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(statm)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64)
			m.Resident = pages * int64(os.Getpagesize())
		}
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_DATA, &limit) == nil && limit.Cur < math.MaxInt64 {
		m.Limit = int64(limit.Cur)
	}
	return m
}
