// Package shards defines graft's prepared data: what datasets writes once and trainers read many times.
//
// # Format graft.data/1
//
// Words. A row is one record of an input file. An example is what a row became: tokens with the
// positions that are supervised. A segment is one example's stretch inside a sequence; attention never
// crosses from one segment into another. A sequence is what a trainer takes at once: one pack of
// examples (kind sft) or one pair (kind preference). A shard is a file of sequences. A split is a list
// of shards under a name ("train", "holdout"). The manifest names everything else.
//
// A prepared data set is a folder, data/plans/<plan digest>/, of
//
//	shard-00000.safetensors, shard-00001.safetensors, …
//	manifest.json                                        written last, If-None-Match
//
// Without manifest.json the data set does not exist. The folder's name is the digest of what it was
// made from (the manifest's field "plan"), so the same inputs find it again; a manifest's own digest
// (Manifest.Digest) is the SHA-256 of the bytes of manifest.json and is what cursors and versions name.
//
// manifest.json is one JSON object, its fields those of Manifest, "format": "graft.data/1". A reader
// refuses another format or another major version, and ignores no field it does not know: an unknown
// field is an error too.
//
// A shard is a safetensors file with the metadata {"format": "graft.data/1", "kind": KIND} and exactly
// these tensors, for n sequences with T tokens and m rows in all:
//
//	tokens       I32 [T]      token ids, 0 <= id < vocab_size, sequence after sequence
//	supervised   U8  [T]      1: the token is a target, predicted from those before it in its segment
//	segments     I32 [T]      1, 2, 3, … within each sequence, never falling, never skipping one
//	offsets      I64 [n+1]    sequence i is tokens[offsets[i]:offsets[i+1]]; starts at 0, rises, ends at T
//	rows         U8  [m, 16]  the content hash of each row
//	places       I64 [m, 2]   (index into the manifest's inputs, row number in that file from 0)
//	row_offsets  I64 [n+1]    the rows of sequence i are rows[row_offsets[i]:row_offsets[i+1]]
//
// The first token of a segment is never supervised: nothing comes before it. Positions are not stored:
// they restart at 0 with each segment. Kind sft has one row per segment. Kind preference has one row
// per sequence and exactly two segments, 1 the chosen answer and 2 the rejected one, each with its
// prompt; each half obeys sequence_len on its own. Every segment has at least one supervised token.
//
// Row ids are the first 16 bytes of a SHA-256 over the row's canonical form (package datasets says which).
package shards
