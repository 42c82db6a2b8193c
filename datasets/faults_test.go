package datasets_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/shards"
)

func ptr(s string) *string { return &s }

// A row that cannot be used: an error with its place, or a counted drop.
func TestInvalidRows(t *testing.T) {
	good := answer("good prompt", " good answer")
	for _, c := range []struct {
		name   string
		kind   shards.Kind
		write  func(t *testing.T, path string) // the fault is row 5, row group 2
		want   string
		reason datasets.Reason
	}{
		{"null", shards.SFT, answers(good, answerRow{Prompt: ptr("p")}), `column "completion": null value`, datasets.NullValue},
		{"empty", shards.SFT, answers(good, answer("", "c")), `column "prompt": empty value`, datasets.EmptyValue},
		{"not UTF-8", shards.SFT, answers(good, answer("p", "\xff")), `column "completion": invalid UTF-8`, datasets.BadText},
		{"null content", shards.SFT, chats([]message{{Role: "user"}}), `column "messages": null value: message 0: content is null`, datasets.NullValue},
		{"unknown role", shards.SFT, chats(turns("robot", "x")), `column "messages": bad message: message 0: role "robot"`, datasets.BadMessage},
		{"no messages", shards.SFT, chats(nil), `column "messages": empty value`, datasets.EmptyValue},
		{"no assistant", shards.SFT, chats(turns("user", "x")), `column "messages": no supervised token`, datasets.NoTarget},
		{"template refuses", shards.SFT, chats(turns("user", "x", "system", "y", "assistant", "z")),
			`column "messages": refused by the chat template: system must come first`, datasets.TemplateSays},
		{"equal pair", shards.Preference, pairs(implicitPair{"same", "same"}), `column "chosen": chosen equals rejected`, datasets.EqualPair},
		{"beginning of the other", shards.Preference, pairs(implicitPair{"same", "same and more"}), `column "chosen": chosen equals rejected: one answer is a beginning`, datasets.EqualPair},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "part-7.parquet")
			c.write(t, path)
			p, spec := newPreparer(t), sft(path)
			spec.Kind, spec.SequenceLen = c.kind, 200
			_, err := p.Prepare(context.Background(), spec, 1)
			wantError(t, err, "part-7.parquet: row group 2: row 5 (from 0): "+c.want)
			if !isUserFault(err) {
				t.Fatal("a bad row looks worth a retry")
			}

			spec.OnInvalid = datasets.OnInvalidDrop
			res, r := prepare(t, p, spec)
			if d := cmp.Diff(map[datasets.Reason]int64{c.reason: 1}, res.Dropped); d != "" {
				t.Fatalf("dropped (-want +got):\n%s", d)
			}
			if res.Rows != 7 || res.Splits[datasets.Train].Examples != 6 {
				t.Fatalf("%d rows, %d examples, want 7 and 6", res.Rows, res.Splits[datasets.Train].Examples)
			}
			at := r.Manifest().Dropped[string(c.reason)].Examples
			if len(at) != 1 || at[0].RowGroup != 2 || at[0].Row != 5 || at[0].Column == "" {
				t.Fatalf("places %v", at)
			}

			spec.OnInvalid = datasets.OnInvalidError // the part is there now, its fault with it
			l, err := p.List(context.Background(), spec)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Parts(context.Background(), l.Key, 0, l.Parts, 1)
			wantError(t, err, "part-7.parquet: row group 2: row 5 (from 0): "+c.want)
		})
	}
}

// answers, chats and pairs write seven rows, two to a row group, the bad one as row 5.
func answers(good, bad answerRow) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		var list []answerRow
		for i := range 7 {
			row := answer(*good.Prompt, *good.Completion+number(i))
			if i == 5 {
				row = bad
			}
			list = append(list, row)
		}
		write(t, path, 2, list)
	}
}

func chats(bad []message) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		var list []chatRow
		for i := range 7 {
			row := chatRow{turns("user", number(i), "assistant", "a")}
			if i == 5 {
				row = chatRow{bad}
			}
			list = append(list, row)
		}
		write(t, path, 2, list)
	}
}

func pairs(bad implicitPair) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		var list []implicitPair
		for i := range 7 {
			row := implicitPair{"q: " + number(i) + " good", "q: " + number(i) + " bad"}
			if i == 5 {
				row = bad
			}
			list = append(list, row)
		}
		write(t, path, 2, list)
	}
}

// What is wrong with inputs as a whole: no row is read.
func TestInputFaults(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("ok.parquet"), 2, []answerRow{answer("p", "c")})
	write(t, at("pairs.parquet"), 2, []pairRow{{"q", "a", "b"}})
	write(t, at("none.parquet"), 2, []answerRow{})
	write(t, at("numbers.parquet"), 2, []struct {
		Text int64 `parquet:"text"`
	}{{1}})
	data, err := os.ReadFile(at("ok.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for name, bytes := range map[string][]byte{
		"short.parquet": data[:len(data)-5], "zip.parquet": []byte("PK\x03\x04 this is no Parquet at all"), "empty.parquet": nil,
	} {
		if err := os.WriteFile(at(name), bytes, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		set  datasets.Dataset
		want string
	}{
		{"nothing there", datasets.Dataset{Path: at("absent/*.parquet")}, "absent/*.parquet matches nothing"},
		{"no such file", datasets.Dataset{Path: at("absent.parquet")}, "absent.parquet matches nothing"},
		{"bad pattern", datasets.Dataset{Path: at("[.parquet")}, "pattern"},
		{"truncated", datasets.Dataset{Path: at("short.parquet")}, "short.parquet: not a sound Parquet file: no PAR1 at the end"},
		{"not Parquet", datasets.Dataset{Path: at("zip.parquet")}, "zip.parquet: not a sound Parquet file"},
		{"empty file", datasets.Dataset{Path: at("empty.parquet")}, "empty.parquet: not a sound Parquet file: 0 bytes"},
		{"missing column", datasets.Dataset{Path: at("ok.parquet"), Shape: datasets.PromptCompletion, Columns: map[string]string{"completion": "answer"}},
			`ok.parquet: column "answer": missing; prompt-completion rows need it as "completion"; the file has`},
		{"no shape fits", datasets.Dataset{Path: at("pairs.parquet")}, "no sft rows in columns question (string)"},
		{"wrong type", datasets.Dataset{Path: at("numbers.parquet")}, `column "text": int where text rows need a string`},
		{"wrong kind", datasets.Dataset{Path: at("pairs.parquet"), Shape: datasets.PreferenceRows}, "preference rows serve preference, not sft"},
		{"group column", datasets.Dataset{Path: at("ok.parquet"), Group: "issuer"}, `column "issuer": missing; split.group`},
		{"no rows", datasets.Dataset{Path: at("none.parquet")}, "have no rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, spec := newPreparer(t), sft("")
			c.set.Name = "d"
			spec.Datasets = []datasets.Dataset{c.set}
			_, err := p.Prepare(context.Background(), spec, 1)
			wantError(t, err, c.want)
			if !isUserFault(err) {
				t.Fatalf("%v looks worth a retry", err)
			}
			for info := range p.Store.List(context.Background(), "data/p") {
				t.Fatalf("%s was written", info.Key)
			}
		})
	}
}

func TestLongExamples(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	write(t, path, 1, []answerRow{answer("p", "short"), answer("prompt", " long answer"), answer("a prompt longer than that", "c")})
	spec := sft(path)
	spec.SequenceLen = 10

	res, r := prepare(t, newPreparer(t), spec)
	if d := cmp.Diff([]string{"p[short<eos>]"}, spelled(t, r, "train")); d != "" {
		t.Fatal(d)
	}
	if res.Dropped[datasets.TooLong] != 2 {
		t.Fatalf("dropped %v", res.Dropped)
	}

	spec.Long = datasets.LongTruncate
	res, r = prepare(t, newPreparer(t), spec)
	if d := cmp.Diff([]string{"p[short<eos>]", "prompt[ lon]"}, spelled(t, r, "train")); d != "" {
		t.Fatal(d)
	}
	if res.Dropped[datasets.NoTargetLeft] != 1 {
		t.Fatalf("dropped %v", res.Dropped)
	}

	spec.Long = datasets.LongError
	_, err := newPreparer(t).Prepare(context.Background(), spec, 1)
	wantError(t, err, "a.parquet: row group 1: row 1 (from 0): longer than sequence_len: 19 tokens, sequence_len is 10")

	spec.SequenceLen = 2
	write(t, path, 1, []answerRow{answer("prompt", "a"), answer("other prompt", "b")})
	for _, long := range []string{datasets.LongDrop, datasets.LongTruncate} {
		spec.Long = long
		_, err = newPreparer(t).Prepare(context.Background(), spec, 1)
		wantError(t, err, "sequence_len 2 is shorter than the prompt of every row")
	}
}

func TestTruncatedPair(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	write(t, path, 1, []implicitPair{{"q: good answer", "q: bad"}})
	spec := sft(path)
	spec.Kind, spec.SequenceLen, spec.Long = shards.Preference, 8, datasets.LongTruncate
	_, r := prepare(t, newPreparer(t), spec)
	if d := cmp.Diff([]string{"q:[ good ]|q:[ bad<eos>]"}, spelled(t, r, "train")); d != "" {
		t.Fatal(d)
	}
}

// An input replaced between listing and reading is an error, never a mixture.
func TestChangedInput(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a.parquet")
	write(t, path, 1, []answerRow{answer("p", "c"), answer("q", "d")})
	p := newPreparer(t)
	l, err := p.List(ctx, sft(path))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, 1, []answerRow{answer("p", "c"), answer("q", "e")})
	_, err = p.Parts(ctx, l.Key, 0, l.Parts, 1)
	wantError(t, err, "a.parquet: changed or removed since the preparation began")
	if !isUserFault(err) {
		t.Fatal("retrying cannot bring the old bytes back")
	}
	if _, err := p.Plan(ctx, l.Key); err == nil {
		t.Fatal("a plan without its parts")
	}
}

// A store's own failure is passed on as it is: it is worth a retry.
func TestStoreFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	write(t, path, 1, []answerRow{answer("p", "c"), answer("q", "d")})
	p := newPreparer(t)
	l, err := p.List(context.Background(), sft(path))
	if err != nil {
		t.Fatal(err)
	}
	p.Open = func(ctx context.Context, uri string) (objectstore.Store, string, error) {
		s, key, err := openDir(ctx, uri)
		return &flaky{s}, key, err
	}
	_, err = p.Parts(context.Background(), l.Key, 0, l.Parts, 1)
	wantError(t, err, "connection reset")
	if isUserFault(err) || !objectstore.Retryable(err) || strings.Contains(err.Error(), "sound") {
		t.Fatalf("%v looks like the data's fault", err)
	}
}

func TestDamagedPart(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a.parquet")
	write(t, path, 1, []answerRow{answer("p", "c")})
	p := newPreparer(t)
	l, err := p.List(ctx, sft(path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parts(ctx, l.Key, 0, l.Parts, 1); err != nil {
		t.Fatal(err)
	}
	for info := range p.Store.List(ctx, "data/parts/") {
		if strings.HasSuffix(info.Key, ".safetensors") {
			data, _, err := objectstore.ReadAll(ctx, p.Store, info.Key, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-1] ^= 1
			if _, err := p.Store.Put(ctx, info.Key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err = p.Plan(ctx, l.Key)
	wantError(t, err, "chunk-00000.safetensors", "digest")
}
