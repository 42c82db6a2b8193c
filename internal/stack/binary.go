package stack

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// BinaryEnv names graft-stack when it lies neither beside graft nor in PATH.
const BinaryEnv = "GRAFT_STACK"

const binaryName = "graft-stack"

// FindBinary returns the graft-stack to run: $GRAFT_STACK, else the one beside this executable, else the one in PATH.
func FindBinary() (string, error) {
	if p := os.Getenv(BinaryEnv); p != "" {
		return checkBinary("$"+BinaryEnv, p)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), binaryName)
		if _, err := os.Stat(beside); err == nil {
			return checkBinary("beside graft", beside)
		}
	}
	if p, err := exec.LookPath(binaryName); err == nil {
		return filepath.Abs(p)
	}
	return "", mend("graft-stack, the embedded Temporal and S3, is neither beside graft nor in $%s nor in PATH: run `make build`, "+
		"or name a Temporal and an S3 of your own", BinaryEnv)
}

func checkBinary(where, path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", mend("graft-stack (%s): %s is not there: run `make build`", where, path)
	case err != nil:
		return "", mend("graft-stack (%s): %w", where, err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return "", mend("graft-stack (%s): %s is not a program: run `make build`", where, path)
	}
	return filepath.Abs(path)
}
