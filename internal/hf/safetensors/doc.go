// Package safetensors reads and writes the safetensors container strictly.
//
// A file is an 8-byte little-endian header length, a JSON object of that length that maps a tensor's name to
// {dtype, shape, data_offsets}, and one buffer of raw little-endian values. Source: the format section of the
// safetensors project's README.
//
// Strict means that a file is refused, with the tensor's name, unless every byte of the buffer belongs to exactly one
// tensor and every range is what dtype and shape say. Nothing is read or allocated beyond what the file's own size
// allows, so a hostile header costs at most its own length in memory.
package safetensors
