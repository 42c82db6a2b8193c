package datasets

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/graft-ml/graft/datasets/rows"
	"github.com/graft-ml/graft/internal/shards"
)

// Message is one turn of a dialogue.
type Message struct {
	Role    string
	Content string
}

// speech is a column's value: a string, or a list of messages.
type speech struct {
	chat     bool
	text     string
	messages []Message
}

// example is a row in its canonical form: what it means, whatever the file called it.
type example struct {
	shape  Shape
	parts  []speech // messages | prompt, completion | text | prompt, chosen, rejected
	prompt bool     // preference: the prompt was a column, not what the answers share
}

// canonicalRow is hashed first, so that another canonical form would have other ids.
const canonicalRow = "graft.row/1\n"

// id is the first 16 bytes of the SHA-256 over the canonical form: the shape, then each part as its
// kind and its strings, every string preceded by its length (u64, little endian).
func (e example) id() shards.RowID {
	h := sha256.New()
	io.WriteString(h, canonicalRow)
	hashString(h, string(e.shape))
	for _, p := range e.parts {
		if !p.chat {
			hashString(h, "text")
			hashString(h, p.text)
			continue
		}
		hashString(h, "chat")
		hashString(h, fmt.Sprint(len(p.messages)))
		for _, m := range p.messages {
			hashString(h, m.Role)
			hashString(h, m.Content)
		}
	}
	return shards.RowID(h.Sum(nil)[:16])
}

func hashString(h hash.Hash, s string) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
	h.Write(n[:])
	io.WriteString(h, s)
}

// groupID hashes a group column's value the same way for strings, numbers and booleans. Its second half, by which the
// split goes, is the first eight bytes of the SHA-256 of the value as text: anyone can tell what a share holds out.
func groupID(v any) shards.RowID {
	sum := sha256.Sum256(fmt.Append(nil, v))
	return shards.RowID(append(sum[8:16:16], sum[:8]...))
}

// parse turns the values of a row, in the order of r.Roles, into an example. Errors are *invalid.
func (r reading) parse(values []any) (example, error) {
	e := example{shape: r.Shape}
	for i, role := range r.Roles {
		s, err := parseSpeech(values[i], r.Columns[i], role)
		if err != nil {
			return example{}, err
		}
		e.parts = append(e.parts, s)
	}
	if r.Shape != PreferenceRows {
		return e, nil
	}
	chosen, rejected := e.parts[0], e.parts[1]
	if chosen.equal(rejected) {
		return example{}, &invalid{r.Columns[0], EqualPair, ""}
	}
	if e.prompt = len(e.parts) == 3; e.prompt {
		e.parts = []speech{e.parts[2], chosen, rejected}
		return e, nil
	}
	prompt, chosen, rejected := sharedPrompt(chosen, rejected)
	if chosen.empty() || rejected.empty() {
		return example{}, &invalid{r.Columns[0], EqualPair, "one answer is a beginning of the other"}
	}
	e.parts = []speech{prompt, chosen, rejected}
	return e, nil
}

func parseSpeech(v any, column, role string) (speech, error) {
	switch v := v.(type) {
	case nil:
		return speech{}, &invalid{column, NullValue, ""}
	case string:
		if v == "" {
			return speech{}, &invalid{column, EmptyValue, ""}
		}
		if !utf8.ValidString(v) {
			return speech{}, &invalid{column, BadText, ""}
		}
		return speech{text: v}, nil
	case []any:
		if len(v) == 0 {
			return speech{}, &invalid{column, EmptyValue, ""}
		}
		s := speech{chat: true, messages: make([]Message, len(v))}
		for i, m := range v {
			var err error
			if s.messages[i], err = parseMessage(m, column, i); err != nil {
				return speech{}, err
			}
		}
		return s, nil
	}
	return speech{}, &invalid{column, BadMessage, fmt.Sprintf("a %T as %s", v, role)}
}

var roles = []string{"system", "developer", "user", "assistant", "tool"}

func parseMessage(v any, column string, i int) (Message, error) {
	bad := func(reason Reason, format string, args ...any) (Message, error) {
		return Message{}, &invalid{column, reason, fmt.Sprintf("message %d: ", i) + fmt.Sprintf(format, args...)}
	}
	s, ok := v.(rows.Struct)
	if !ok {
		return bad(NullValue, "is null")
	}
	var m Message
	for k, name := range s.Names {
		text, isText := s.Values[k].(string)
		switch name {
		case "role":
			if m.Role = text; !slices.Contains(roles, text) {
				return bad(BadMessage, "role %q: one of %s", text, strings.Join(roles, ", "))
			}
		case "content":
			if m.Content = text; !isText {
				return bad(NullValue, "content is null")
			}
		default:
			// A field we would silently leave out changes what the model sees.
			if !blank(s.Values[k]) {
				return bad(BadMessage, "field %q is not supported", name)
			}
		}
	}
	if !utf8.ValidString(m.Content) {
		return bad(BadText, "content")
	}
	return m, nil
}

// blank says whether an unread message field carries nothing.
func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case rows.Struct:
		return !slices.ContainsFunc(v.Values, func(x any) bool { return !blank(x) })
	}
	return false
}

func (s speech) empty() bool {
	if s.chat {
		return len(s.messages) == 0
	}
	return s.text == ""
}

func (s speech) equal(o speech) bool {
	return s.chat == o.chat && s.text == o.text && slices.Equal(s.messages, o.messages)
}

// sharedPrompt splits what two answers begin with from them, as TRL's extract_prompt does: whole
// messages, or characters, where a space before the difference goes to the answers.
func sharedPrompt(chosen, rejected speech) (prompt, c, r speech) {
	if chosen.chat {
		n := 0
		for n < min(len(chosen.messages), len(rejected.messages)) && chosen.messages[n] == rejected.messages[n] {
			n++
		}
		return speech{chat: true, messages: chosen.messages[:n]},
			speech{chat: true, messages: chosen.messages[n:]}, speech{chat: true, messages: rejected.messages[n:]}
	}
	n := 0
	for n < min(len(chosen.text), len(rejected.text)) && chosen.text[n] == rejected.text[n] {
		n++
	}
	for n > 0 && n < len(chosen.text) && !utf8.RuneStart(chosen.text[n]) {
		n--
	}
	if n > 0 && chosen.text[n-1] == ' ' {
		n--
	}
	return speech{text: chosen.text[:n]}, speech{text: chosen.text[n:]}, speech{text: rejected.text[n:]}
}
