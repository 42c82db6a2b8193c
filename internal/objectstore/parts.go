package objectstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

// Part is one immutable file that a manifest names.
type Part struct {
	Name   string `json:"name"`          // as a local file; may hold slashes
	Key    string `json:"key,omitempty"` // relative to the manifest's directory; empty: Name
	Size   int64  `json:"size"`          // bytes
	SHA256 string `json:"sha256"`        // hex
}

// At is the part's key in the store, for a manifest in directory dir.
func (p Part) At(dir string) string {
	if p.Key == "" {
		return path.Join(dir, p.Name)
	}
	return path.Join(dir, p.Key)
}

// Check says what is wrong with a part as a manifest lists it.
func (p Part) Check() error {
	if err := CheckKey(p.Name); err != nil {
		return fmt.Errorf("part name: %w", err)
	}
	if err := CheckKey(p.At("")); err != nil {
		return fmt.Errorf("part %s: %w", p.Name, err)
	}
	if sum, err := hex.DecodeString(p.SHA256); err != nil || len(sum) != sha256.Size || p.Size < 0 {
		return fmt.Errorf("part %s: size %d, sha256 %.70q", p.Name, p.Size, p.SHA256)
	}
	return nil
}

// Describe measures a body; the caller sets Name and Key.
func Describe(body io.ReadSeeker) (Part, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return Part{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, body)
	return Part{Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

// PutPart writes a body that must be what p says, at p.At(dir), which nothing else may have been written to: if the key exists, its
// bytes must be the same (an earlier try of this very write), else ErrLostRace.
func PutPart(ctx context.Context, s Store, dir string, p Part, body io.ReadSeeker) error {
	key := p.At(dir)
	measured, err := Describe(body)
	if err != nil {
		return fmt.Errorf("put %s: %w", s.URI(key), err)
	}
	if measured.Size != p.Size || measured.SHA256 != p.SHA256 {
		return fmt.Errorf("put %s: the file changed since it was measured: %w", s.URI(key), ErrDamaged)
	}
	_, err = s.Put(ctx, key, body, Cond{IfNoneMatch: true})
	if !errors.Is(err, ErrPrecondition) {
		return err
	}
	if err := VerifyPart(ctx, s, dir, p); errors.Is(err, ErrDamaged) {
		return fmt.Errorf("put %s: other bytes are there: %w", s.URI(key), ErrLostRace)
	} else {
		return err
	}
}

// PutPartBytes is PutPart for what is in memory; it measures the part too.
func PutPartBytes(ctx context.Context, s Store, dir, name, key string, data []byte) (Part, error) {
	sum := sha256.Sum256(data)
	p := Part{Name: name, Key: key, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
	return p, PutPart(ctx, s, dir, p, bytes.NewReader(data))
}

// VerifyPart reads a part and compares size and digest; a difference is ErrDamaged, naming the object.
func VerifyPart(ctx context.Context, s Store, dir string, p Part) error {
	return copyPart(ctx, s, dir, p, io.Discard)
}

func copyPart(ctx context.Context, s Store, dir string, p Part, w io.Writer) error {
	key := p.At(dir)
	body, info, err := s.Get(ctx, key, Whole, "")
	if err != nil {
		return err
	}
	defer body.Close()
	if info.Size != p.Size {
		return fmt.Errorf("get %s: %d bytes, the manifest says %d: %w", s.URI(key), info.Size, p.Size, ErrDamaged)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(h, w), body)
	if err != nil {
		return fmt.Errorf("get %s: %w", s.URI(key), err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != p.Size || got != p.SHA256 {
		return fmt.Errorf("get %s: sha256 is %s, the manifest says %s: %w", s.URI(key), got, p.SHA256, ErrDamaged)
	}
	return nil
}

// FetchPart downloads a part to local/Name, which appears only whole and verified.
func FetchPart(ctx context.Context, s Store, dir string, p Part, local string) error {
	if err := p.Check(); err != nil {
		return err
	}
	to := filepath.Join(local, filepath.FromSlash(p.Name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".fetch-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	err = copyPart(ctx, s, dir, p, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}
