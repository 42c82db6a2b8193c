package hf

// Byte-level BPE spells each byte as one printable rune: bytes that are printable in Latin-1 stand for themselves, the
// others follow from U+0100 in the order of their value. Source: GPT-2's bytes_to_unicode.
var (
	runeOfByte [256]rune
	byteOfRune = map[rune]byte{}
)

func init() {
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		runeOfByte[b] = r
		byteOfRune[r] = byte(b)
	}
}

// spell writes raw bytes in the alphabet.
func spell(raw string) string {
	runes := make([]rune, len(raw))
	for i := range len(raw) {
		runes[i] = runeOfByte[raw[i]]
	}
	return string(runes)
}

// unspell is the inverse of spell; false when a rune is outside the alphabet.
func unspell(spelt string) (string, bool) {
	raw := make([]byte, 0, len(spelt))
	for _, r := range spelt {
		b, ok := byteOfRune[r]
		if !ok {
			return "", false
		}
		raw = append(raw, b)
	}
	return string(raw), true
}
