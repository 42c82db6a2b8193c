//go:build goexperiment.simd

package serve

const simd = true
