package tokens

import "github.com/cespare/xxhash/v2"

// Of a very long text only pieces are counted; the rest is estimated from them. Few models read a text of a megabyte, and
// counting all of 20 MB takes longer than sending it.
const (
	sampledAbove = 1 << 20
	samplePieces = 256
	samplePiece  = 1 << 10
)

// WriteText is Write for a whole text. One piece of each part of a long text is counted, at a place that depends on all of the
// text, and on nothing else: the same text costs the same in every process, so that a price can be explained and replayed. The
// hash has no secret, so a client can search for a text whose pieces are cheaper than the rest. It still pays what the
// upstream reports; with `estimate: bytes` in the price file, the hold does not depend on an estimate.
func (t *Counter) WriteText(s []byte) {
	if len(s) <= sampledAbove {
		t.Write(s)
		return
	}
	place := xxhash.Sum64(s)
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
