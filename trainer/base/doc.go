// Package base is the frozen model under every adapter: what its config.json and safetensors must hold, how its
// weights are kept and decoded, and the forward pass of each family of decoders.
package base
