// Package objectstore is the small part of an object store that graft stands on: whole objects written atomically,
// ranges read back, keys listed in order, and two conditions (create only, replace only what I saw) that the commit
// protocol is built from. It imports no cloud SDK: stores live in s3/ and dir/, and storetest/ holds what each must pass.
//
// # The commit protocol
//
// Whatever consists of several objects is written as immutable parts under keys that carry the writer's attempt, then as
// one manifest that names each part with its digest, written last with If-None-Match (Commit). No manifest: it does not
// exist. Two writers race for the manifest's key; the loser gets ErrLostRace and stops. A writer that cannot know whether its own
// write arrived (a lost answer) reads the key back: the bytes there are its own or they are another's.
package objectstore

import (
	"context"
	"io"
	"iter"
	"time"
)

// Info describes one stored object.
type Info struct {
	Key     string    // relative to the store it came from
	Size    int64     // bytes
	ETag    string    // opaque; changes whenever the content does
	ModTime time.Time // the store's clock
}

// Cond is the condition of a Put. Both fields zero: unconditional. Both set: refused.
type Cond struct {
	IfNoneMatch bool   // write only if the key does not exist
	IfMatch     string // write only if the key's ETag is this one; a missing key does not match
}

// Range is a part of an object, in bytes. Len < 0 means to the end. The zero Range is an empty one: use Whole for all.
type Range struct{ Off, Len int64 }

// Whole is the range of a whole object.
var Whole = Range{0, -1}

// Store is an object store, or a part of one under a prefix (Sub). Implementations are safe for concurrent use.
// Keys are slash-separated paths that CheckKey accepts; a key may not also be another key's directory.
// Errors name the URI and are told apart by errors.Is (ErrNotFound, ErrPrecondition) and Retryable; a store has already retried
// what is worth retrying when it returns one.
type Store interface {
	// Get opens a range of an object. A non-empty ifMatch that is not the object's ETag is ErrPrecondition. A range that
	// starts at or beyond the end reads as empty. The reader checks what it can: length always, checksum for Whole where the store has one.
	Get(ctx context.Context, key string, r Range, ifMatch string) (io.ReadCloser, Info, error)
	// Stat describes an object, or is ErrNotFound.
	Stat(ctx context.Context, key string) (Info, error)
	// Put writes the body from its first byte to its last, atomically: a reader sees the old object or the new one. The bytes are
	// checked on arrival. ErrPrecondition if c does not hold; of racing conditional writers exactly one wins.
	Put(ctx context.Context, key string, body io.ReadSeeker, c Cond) (Info, error)
	// List yields the objects whose key starts with prefix (any string), in byte order of their keys. It stops after an error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes objects; missing ones are no error.
	Delete(ctx context.Context, keys ...string) error
	// URI names a key for people and for Opener: s3://bucket/prefix/key or file:///dir/key, nothing escaped.
	URI(key string) string
}

// Opener turns a URI into a store and the key or prefix inside it. open.Open is the one for s3://, file:// and plain paths.
type Opener func(ctx context.Context, uri string) (Store, string, error)
