package godocs

import (
	"fmt"
	"strings"
)

// The rows of the three data sets. Package is what a split groups by.

// Completion is a row of prompt-completion-*.parquet: package and signature, then the documentation.
type Completion struct {
	Prompt     string `parquet:"prompt"`
	Completion string `parquet:"completion"`
	Package    string `parquet:"package"`
	Symbol     string `parquet:"symbol"`
}

// Message is a turn of a chat.
type Message struct {
	Role    string `parquet:"role"`
	Content string `parquet:"content"`
}

// Chat is a row of messages-*.parquet: the same as a question and its answer.
type Chat struct {
	Messages []Message `parquet:"messages,list"`
	Package  string    `parquet:"package"`
	Symbol   string    `parquet:"symbol"`
}

// Preference is a row of preference-*.parquet: the symbol's own documentation against that of another one of its
// package, of its own kind where there is one.
type Preference struct {
	Prompt   string `parquet:"prompt"`
	Chosen   string `parquet:"chosen"`
	Rejected string `parquet:"rejected"`
	Package  string `parquet:"package"`
	Symbol   string `parquet:"symbol"`
}

// maxAnswer is how much documentation a row takes, in bytes: whole paragraphs, or else whole sentences.
const maxAnswer = 480

func prompt(d Doc) string {
	return fmt.Sprintf("package %s\n%s\n\nDocumentation of %s:\n", d.Package, clip(d.Signature, 320), d.Symbol)
}

// answer is the documentation, cut where a reader would stop.
func answer(d Doc) string {
	if len(d.Text) <= maxAnswer {
		return d.Text
	}
	head := d.Text[:maxAnswer]
	if i := strings.LastIndex(head, "\n\n"); i > maxAnswer/4 {
		return strings.TrimSpace(head[:i])
	}
	if i := lastSentence(head); i > 0 {
		return head[:i]
	}
	return strings.TrimSpace(head[:strings.LastIndexAny(head, " \n")])
}

// lastSentence is the end of the last whole sentence, 0 if there is none.
func lastSentence(text string) int {
	end := 0
	for i := range len(text) - 1 {
		if text[i] == '.' && (text[i+1] == ' ' || text[i+1] == '\n') {
			end = i + 1
		}
	}
	return end
}

func completions(docs []Doc) []Completion {
	rows := make([]Completion, len(docs))
	for i, d := range docs {
		rows[i] = Completion{prompt(d), answer(d), d.Package, d.Symbol}
	}
	return rows
}

func chats(docs []Doc) []Chat {
	rows := make([]Chat, len(docs))
	for i, d := range docs {
		ask := fmt.Sprintf("Write the documentation of %s in package %s.\n\n%s", d.Symbol, d.Package, clip(d.Signature, 320))
		rows[i] = Chat{[]Message{{"user", ask}, {"assistant", answer(d)}}, d.Package, d.Symbol}
	}
	return rows
}

// preferences leaves out symbols whose package has no other documentation.
func preferences(docs []Doc) []Preference {
	var rows []Preference
	for begin := 0; begin < len(docs); {
		end := begin
		for end < len(docs) && docs[end].Package == docs[begin].Package {
			end++
		}
		for i := begin; i < end; i++ {
			if other, ok := sibling(docs[begin:end], i-begin); ok {
				rows = append(rows, Preference{prompt(docs[i]), answer(docs[i]), answer(other), docs[i].Package, docs[i].Symbol})
			}
		}
		begin = end
	}
	return rows
}

// sibling is the next symbol of the package, round its end, that is documented otherwise: of the same kind if any.
func sibling(docs []Doc, i int) (Doc, bool) {
	var second *Doc
	for step := 1; step < len(docs); step++ {
		other := &docs[(i+step)%len(docs)]
		if answer(*other) == answer(docs[i]) {
			continue
		}
		if other.Kind == docs[i].Kind {
			return *other, true
		}
		if second == nil {
			second = other
		}
	}
	if second == nil {
		return Doc{}, false
	}
	return *second, true
}
