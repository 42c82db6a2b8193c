package dir

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// etags remembers the SHA-256 of files by what changes when their content does, so that each is hashed once per process.
type etags struct {
	mu sync.Mutex
	m  map[identity]string
}

type identity struct {
	dev, ino uint64
	size     int64
	mtime    time.Time
}

// maxETags bounds the memory; beyond it the table starts afresh.
const maxETags = 1 << 16

func newETags() *etags { return &etags{m: map[identity]string{}} }

func identify(fi os.FileInfo) (identity, bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	return identity{uint64(st.Dev), uint64(st.Ino), fi.Size(), fi.ModTime()}, true
}

func (e *etags) put(fi os.FileInfo, tag string) {
	id, ok := identify(fi)
	if !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.m) >= maxETags {
		clear(e.m)
	}
	e.m[id] = tag
}

// of returns the SHA-256 of an open file in hex.
func (e *etags) of(f *os.File, fi os.FileInfo) (string, error) {
	id, known := identify(fi)
	if known {
		e.mu.Lock()
		tag, ok := e.m[id]
		e.mu.Unlock()
		if ok {
			return tag, nil
		}
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, fi.Size())); err != nil {
		return "", err
	}
	tag := hex.EncodeToString(h.Sum(nil))
	// A file changed within the clock's resolution of its mtime could keep its identity: trust only what has been still.
	if time.Since(fi.ModTime()) > 2*time.Second {
		e.put(fi, tag)
	}
	return tag, nil
}
