package stack

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// prepareDir makes the state directory and proves that the servers can live in it.
func prepareDir(dir string, minFree int64) error {
	for _, d := range []string{dir, filepath.Join(dir, "logs"), filepath.Join(dir, "s3")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return mend("state directory: %w", err)
		}
	}
	free, err := freeBytes(dir)
	if err != nil {
		return err
	}
	if free < minFree {
		return mend("state directory %s: its disk is full: %d MiB free, at least %d MiB are needed", dir, free>>20, minFree>>20)
	}
	return probeFile(filepath.Join(dir, "s3"))
}

// probeFile writes a file as the servers will: bytes that reach the disk, and an extended attribute.
func probeFile(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return mend("state directory: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(make([]byte, 64<<10)); err != nil {
		return mend("state directory: %w", err)
	}
	if err := f.Sync(); err != nil { // a full disk shows here with delayed allocation
		return mend("state directory: %w", err)
	}
	return probeAttribute(dir, f.Name())
}

func probeAttribute(dir, file string) error {
	err := unix.Setxattr(file, "user.graft", []byte("1"), 0)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		return mend("state directory %s: its file system keeps no extended attributes, which the S3 server needs: "+
			"name another directory (ext4, xfs, btrfs, zfs and newer tmpfs keep them)", dir)
	}
	if err != nil {
		return mend("state directory %s: set an extended attribute: %w", dir, err)
	}
	return nil
}

func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("state directory %s: %w", dir, err)
	}
	if s.Blocks == 0 { // a file system without a size, as ramfs
		return math.MaxInt64, nil
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

type credentials struct {
	Format    string `json:"format"` // graft.s3-credentials/1
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

const credentialsFormat = "graft.s3-credentials/1"

// accessKey owns the buckets: it stays the same, so that a lost credentials file loses no data.
const accessKey = "graft"

// loadCredentials reads the directory's own S3 credentials, and makes them the first time. Call it with the lock held.
func loadCredentials(dir string) (credentials, error) {
	c, err := readCredentials(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return c, err
	}
	c = credentials{Format: credentialsFormat, AccessKey: accessKey, SecretKey: rand.Text() + rand.Text()}
	return c, writeJSON(credentialsPath(dir), c)
}

func readCredentials(dir string) (credentials, error) {
	var c credentials
	b, err := os.ReadFile(credentialsPath(dir))
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, mend("%s: %w", credentialsPath(dir), err)
	}
	if c.Format != credentialsFormat || c.AccessKey == "" || c.SecretKey == "" {
		return c, mend("%s: not %s with access_key and secret_key", credentialsPath(dir), credentialsFormat)
	}
	return c, nil
}

func credentialsPath(dir string) string { return filepath.Join(dir, "s3-credentials.json") }

// writeJSON replaces path in one step; the file is its owner's alone.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".json-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// now is cut to seconds: stack.json is read by people.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
