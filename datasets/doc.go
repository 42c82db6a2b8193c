// Package datasets turns Parquet files into the token shards that a trainer reads (package shards).
//
// # The way of a row
//
// Row (package rows) → example, its canonical form, whatever the columns were called (Shape, Dataset.Columns) →
// rendered with the base's own chat template and tokenised (Text) → mask of what is trained → part. All parts →
// duplicates out → held out or not → cut to sequence_len → packed → shards and manifest: the plan.
//
// A row's id is the content hash of its canonical form, so it follows the content through other files, other
// column names and other orders. The split looks at that hash, or the hash of the group column, alone: a row
// never changes sides when data grow. Equal rows are one row; the first in the order of the inputs stays.
//
// What is trained: of messages the assistant's turns, of prompt and completion the completion, of text all, of a pair both
// answers. Strings are joined as they are and end in the base's end-of-text token; message lists go through the chat
// template. A completion begins where the tokens of the prompt and of prompt and completion part (as in TRL 1.16).
//
// # Steps
//
// List pins the inputs by ETag and cuts them into parts; PreparePart is a pure function from a part to stored
// examples; Plan joins the parts. Each is keyed by what it depends on and leaves what is there already alone, so
// that an interrupted preparation goes on, a new file prepares only itself, and another split, sequence_len
// or packing tokenises nothing again. Workers and their order change no byte.
//
//	data/lists/<sha of its bytes>.json        graft.listing/1: the spec and its parts
//	data/parts/<part key>/chunk-00000.safetensors, …
//	data/parts/<part key>/part.json           graft.part/1, committed last
//	data/plans/<plan digest>/shard-00000.safetensors, …
//	data/plans/<plan digest>/manifest.json    graft.data/1, committed last
//
// # Format graft.part/1
//
// part.json is PartManifest: format, key, rows read, chunks (file, size, sha256, counts), rows dropped by reason with the
// first few places. A chunk is a safetensors file with the metadata {"format": "graft.part/1", "kind": KIND} and, for n examples of
// T tokens in all, the tensors
//
//	tokens      I32 [T]     neither cut to a length nor packed
//	supervised  U8  [T]
//	offsets     I64 [n+1]   example i is tokens[offsets[i]:offsets[i+1]]
//	cuts        I64 [n]     preference: the first token of the rejected half, counted in the example; else 0
//	places      I64 [n, 2]  row group, row number in the file from 0
//	rows        U8  [n, 16] row ids
//	groups      U8  [n, 16] of the group column's value as text, bytes 8 to 15 and then 0 to 7 of its SHA-256; the row id
//	                        where there is none. Bytes 8 to 15 of it, big endian, as a fraction of 2^64 decide the split.
package datasets
