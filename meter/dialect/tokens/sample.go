package tokens

import "hash/maphash"

// Of a very long text, pieces are counted, and the rest costs what they do. Few models read a text of a megabyte; to count all of
// 20 MB takes longer than to send it.
const (
	sampledAbove = 1 << 20
	samplePieces = 256
	samplePiece  = 1 << 10
)

// sampleSeed is secret: a text cannot be written so that its pieces are cheaper than the rest.
var sampleSeed = maphash.MakeSeed()

// WriteText is Write for a whole text. One piece of each part of a long text is counted, at a place that depends on all of the
// text: the same text costs the same each time, and the places of another text tell nothing about those of this one.
func (t *Counter) WriteText(s []byte) {
	if len(s) <= sampledAbove {
		t.Write(s)
		return
	}
	place := maphash.Bytes(sampleSeed, s)
	part := len(s) / samplePieces
	var pieces Counter
	for i := range samplePieces {
		pieces.kind = scanNone
		place = place*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		at := i*part + int(place>>33)%(part-samplePiece)
		pieces.Write(s[at : at+samplePiece])
	}
	t.cost += pieces.cost * int64(len(s)) / pieces.size
	t.size += int64(len(s))
	t.kind = scanNone
}
