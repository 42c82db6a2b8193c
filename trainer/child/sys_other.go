//go:build !linux

package child

import (
	"errors"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func limitMemory(int, int64) error {
	return errors.New("limit memory: only Linux can cap another process's memory")
}

func kernelKills() string { return "" }
