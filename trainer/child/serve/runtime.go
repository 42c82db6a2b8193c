package serve

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/cpu"

	"github.com/graft-ml/graft/trainer/protocol"
)

// Main is the whole of a child's program: Serve on standard input and output. What the program prints by
// itself goes to standard error, so that it cannot break the conversation.
func Main(cfg Config) error {
	out := os.Stdout
	os.Stdout = os.Stderr
	return Serve(context.Background(), os.Stdin, out, cfg)
}

// Runtime describes this process: what bits depend on.
func Runtime(version string) protocol.Runtime {
	r := protocol.Runtime{
		Engine: "graft", Version: version, Go: runtime.Version(), GoMLX: moduleVersion("github.com/gomlx/gomlx") + "+" + moduleVersion("github.com/gomlx/compute"),
		Backend: "go", OS: runtime.GOOS, Arch: runtime.GOARCH, ISA: isa(), SIMD: simd, CPUs: runtime.GOMAXPROCS(0),
	}
	if backend := os.Getenv("GOMLX_BACKEND"); backend != "" {
		r.Backend = backend
	}
	return r
}

// isa is the widest instruction set that the Go backend's kernels choose from.
func isa() string {
	switch {
	case !simd:
		return "scalar"
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ:
		return "avx512"
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return "avx2"
	case cpu.ARM64.HasASIMD:
		return "neon"
	}
	return "scalar"
}

func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}
