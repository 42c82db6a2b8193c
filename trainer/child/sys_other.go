//go:build !linux

package child

import (
	"errors"
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func limitMemory(int, int64) error {
	return errors.New("limit memory: only Linux can cap another process's memory")
}

func kernelKills() string { return "" }

func peakMemory(*os.ProcessState) int64 { return 0 }
