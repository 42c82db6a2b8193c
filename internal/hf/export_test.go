package hf

// EncodeQuadratic is the plain loop of bpe.encode on one piece of any length.
func EncodeQuadratic(t *Tokenizer, piece string) []int32 {
	ids := make([]int32, len(piece))
	for i := range len(piece) {
		ids[i] = t.model.ofByte[piece[i]]
	}
	for {
		best, at := int32(-1), -1
		var id int32
		for i := range len(ids) - 1 {
			if m, ok := t.model.merges[pair{ids[i], ids[i+1]}]; ok && (at < 0 || m.rank < best) {
				best, at, id = m.rank, i, m.id
			}
		}
		if at < 0 {
			return ids
		}
		ids[at] = id
		ids = append(ids[:at+1], ids[at+2:]...)
	}
}
