package datasets_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/graft-ml/graft/datasets"
)

// benchRows is how many dialogues BenchmarkPrepare makes up; GRAFT_BENCH_ROWS overrides it.
func benchRows() int {
	if n, err := strconv.Atoi(os.Getenv("GRAFT_BENCH_ROWS")); err == nil {
		return n
	}
	return 5_000
}

// madeUp is a dialogue of 2 to 8 turns of words with the frequencies of a language (Zipf).
func madeUp(r *rand.Rand, z *rand.Zipf, words []string) chatRow {
	var ms []message
	for i := range 2 * (1 + r.IntN(4)) {
		var b strings.Builder
		for range 10 + r.IntN(110) {
			b.WriteString(words[z.Uint64()])
			b.WriteString([]string{" ", " ", " ", ", ", ".\n"}[r.IntN(5)])
		}
		text := b.String()
		ms = append(ms, message{[]string{"user", "assistant"}[i%2], &text})
	}
	return chatRow{ms}
}

func madeUpFiles(b *testing.B, dir string, n int) {
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.1, 4, 19_999)
	words := make([]string, 20_000)
	for i := range words {
		for range 1 + r.IntN(4) {
			words[i] += []string{"ba", "ker", "int", "str", "ing", "er", "on", "func", "map", "al", "ti", "e"}[r.IntN(12)]
		}
	}
	const perFile = 20_000
	for k := 0; k*perFile < n; k++ {
		list := make([]chatRow, min(perFile, n-k*perFile))
		for i := range list {
			list[i] = madeUp(r, z, words)
		}
		write(b, filepath.Join(dir, fmt.Sprintf("part-%03d.parquet", k)), 1000, list)
	}
}

// peakMB is the most memory the process ever held, from the kernel; 0 where it does not say.
func peakMB() float64 {
	data, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(data)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.Atoi(strings.Fields(kb)[0])
			return float64(n) / 1024
		}
	}
	return 0
}

// BenchmarkPrepare is the whole way, Parquet to shards on disk, with the little base's tokenizer and template.
// Files are written first; run with -benchtime 1x and GRAFT_BENCH_DIR set to keep them apart from what is measured.
func BenchmarkPrepare(b *testing.B) {
	dir := os.Getenv("GRAFT_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	if list, _ := filepath.Glob(dir + "/*.parquet"); len(list) == 0 {
		madeUpFiles(b, dir, benchRows())
	}
	text := rootstockText(b)
	spec := sft(dir)
	spec.SequenceLen, spec.Packing, spec.Holdout, spec.Long, spec.PartBytes = 2048, true, 0.02, datasets.LongTruncate, 8<<20
	var rows, tokens int64
	before := cpuSeconds()
	for b.Loop() {
		p := newPreparer(b)
		p.Text = text
		res, err := p.Prepare(context.Background(), spec, 0)
		if err != nil {
			b.Fatal(err)
		}
		train := res.Splits[datasets.Train]
		rows, tokens = rows+res.Rows, tokens+train.Tokens+res.Splits[datasets.Holdout].Tokens
		b.ReportMetric(100*float64(train.Tokens)/float64(spec.SequenceLen*train.Sequences), "%full")
	}
	wall, cpu := b.Elapsed().Seconds(), cpuSeconds()-before
	b.ReportMetric(float64(rows)/wall, "rows/s")
	b.ReportMetric(float64(rows)/cpu, "rows/cpu-s") // says more than rows/s on a shared machine
	b.ReportMetric(float64(tokens)/cpu/1e6, "Mtokens/cpu-s")
	b.ReportMetric(peakMB(), "peak-MB")
}

// cpuSeconds is what the process has used, user and system.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
