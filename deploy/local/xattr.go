package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// checkAttributes proves that files in dir keep user extended attributes, which hold the objects' metadata.
func checkAttributes(dir string) error {
	f, err := os.CreateTemp(dir, ".attributes-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	return setAttribute(dir, f.Name())
}

func setAttribute(dir, file string) error {
	err := unix.Setxattr(file, "user.graft", []byte("1"), 0)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%s: its file system keeps no extended attributes, which the S3 server needs: choose another directory (ext4, xfs, btrfs, zfs and newer tmpfs keep them)", dir)
	}
	if err != nil {
		return fmt.Errorf("%s: set an extended attribute: %w", dir, err)
	}
	return nil
}
