package protocol

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// MaxLine is the largest message in bytes, its line feed included.
const MaxLine = 1 << 20

// ErrSyntax is what errors of a Decoder are that the other side's bytes caused.
var ErrSyntax = errors.New("not a " + Format + " message")

// Encoder writes messages; it may be used from several goroutines.
type Encoder struct {
	mu sync.Mutex
	w  io.Writer
}

// NewEncoder writes to w, one Write per message.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w} }

// Encode writes m as one line.
func (e *Encoder) Encode(m Message) error {
	line, err := Marshal(m)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.w.Write(line); err != nil {
		return fmt.Errorf("write %s message: %w", m.messageType(), err)
	}
	return nil
}

// Marshal returns m's line, LF included. Numbers that JSON has not (NaN, Inf) and lines over MaxLine are errors.
func Marshal(m Message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s message: %w", m.messageType(), err)
	}
	line := append([]byte(`{"type":"`), m.messageType()...)
	line = append(line, '"')
	if len(body) > len("{}") {
		line = append(line, ',')
	}
	line = append(append(line, body[1:]...), '\n')
	if len(line) > MaxLine {
		return nil, fmt.Errorf("%s message: %d bytes, at most %d", m.messageType(), len(line), MaxLine)
	}
	return line, nil
}

// Decoder reads messages.
type Decoder struct{ r *bufio.Reader }

// NewDecoder reads from r and never holds more than MaxLine bytes of it.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReaderSize(r, MaxLine)} }

// Next returns the next message: io.EOF at a clean end, io.ErrUnexpectedEOF inside a line,
// ErrSyntax for anything that is no message. Blank lines are skipped.
func (d *Decoder) Next() (Message, error) {
	for {
		line, err := d.r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: line longer than %d bytes", ErrSyntax, MaxLine)
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case len(bytes.TrimSpace(line)) > 0:
			return Unmarshal(line)
		}
	}
}

// Unmarshal decodes one line.
func Unmarshal(line []byte) (Message, error) {
	if len(line) > MaxLine {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrSyntax, len(line), MaxLine)
	}
	var head struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("%w: %v: %s", ErrSyntax, err, excerpt(line))
	}
	if head.Type == nil {
		return nil, fmt.Errorf("%w: no type: %s", ErrSyntax, excerpt(line))
	}
	switch *head.Type {
	case "hello":
		return decode[Hello](line)
	case "ready":
		return decode[Ready](line)
	case "job":
		return decodeJob(line)
	case "stop":
		return decode[Stop](line)
	case "checkpoint-saved":
		return decode[CheckpointSaved](line)
	case "shutdown":
		return decode[Shutdown](line)
	case "alive":
		return decode[Alive](line)
	case "progress":
		return decode[Progress](line)
	case "checkpoint-ready":
		return decode[CheckpointReady](line)
	case "result":
		return decode[Result](line)
	case "error":
		return decode[Error](line)
	}
	return nil, fmt.Errorf("%w: unknown type %.40q", ErrSyntax, *head.Type)
}

func decode[M Message](line []byte) (Message, error) {
	var m M
	if err := json.Unmarshal(line, &m); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrSyntax, m.messageType(), err)
	}
	return m, nil
}

// decodeJob refuses unknown fields. The error is an Error of class User: the conversation goes on.
func decodeJob(line []byte) (Message, error) {
	var m struct {
		Type string `json:"type"`
		Job
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		var id struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(line, &id) != nil || id.ID == "" {
			return nil, fmt.Errorf("%w: job: %v", ErrSyntax, err)
		}
		return nil, Error{Job: id.ID, Class: User, Message: fmt.Sprintf("job %q: %v", id.ID, err)}
	}
	return m.Job, nil
}

func excerpt(line []byte) string {
	if len(line) > 80 {
		line = line[:80]
	}
	return fmt.Sprintf("%q", line)
}
