package media

import (
	"encoding/binary"
	"math/bits"
)

// Ids of the elements that matter (RFC 9559).
const (
	idSegment, idInfo, idTracks, idCluster, idTrack, idAudio = 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0xAE, 0xE1
	idScale, idDuration                                      = 0x2AD7B1, 0x4489
	idNumber, idType, idCodec, idRate                        = 0xD7, 0x83, 0x86, 0xB5
	idTimestamp, idSimple, idGroup, idBlock                  = 0xE7, 0xA3, 0xA0, 0xA1
)

type matroskaTrack struct {
	number, kind    uint64
	codec           string
	rate            uint64
	samples, blocks uint64
}

type matroskaFile struct {
	scale, stated uint64 // nanoseconds of a tick; ticks
	cluster, last uint64 // ticks: of this cluster, and the last of any block
	tracks        []*matroskaTrack
}

// matroskaFrames is how many samples a block of a codec plays; Opus says it in its packets, Vorbis plays as little as 32.
var matroskaFrames = map[string]uint64{"A_AAC": 1024, "A_MPEG/L3": 1152, "A_AC3": 1536, "A_VORBIS": 32, "A_OPUS": 0}

// matroska takes the most of the length that the file states, the time of its last block, and what its blocks play.
func matroska(b []byte) (ms int64, ok bool) {
	f := matroskaFile{scale: 1_000_000}
	f.elements(b, 0)
	ticks := max(f.stated, f.last)
	hi, lo := bits.Mul64(ticks, f.scale)
	if hi != 0 || f.scale == 0 || lo > 1<<60 {
		return 0, false
	}
	ms = int64((lo + 999_999) / 1_000_000) //nolint:gosec // a duration of at most 2^64 ns in ms
	for _, t := range f.tracks {
		if t.kind != 2 {
			continue
		}
		frame, known := matroskaFrames[t.codec]
		if !known || t.blocks == 0 {
			return 0, false
		}
		rate := t.rate
		if t.codec == "A_OPUS" {
			rate = 48000
		}
		n, fine := millisOf(t.samples+t.blocks*frame, max(rate, 8000))
		if !fine {
			return 0, false
		}
		ms, ok = max(ms, n), true
	}
	return ms, ok
}

// elements walks the elements of a master element. One of unknown size ends with the file.
func (f *matroskaFile) elements(b []byte, depth int) {
	for len(b) > 1 && depth < 8 {
		id, n := vint(b, true)
		if n == 0 || n >= len(b) {
			return
		}
		size, m := vint(b[n:], false)
		if m == 0 {
			return
		}
		head := n + m
		unknown := size == 1<<(7*m)-1
		end := uint64(len(b))
		if !unknown && size < end-uint64(head) { //nolint:gosec // not negative
			end = uint64(head) + size //nolint:gosec // not negative
		}
		body := b[head:end]
		switch id {
		case idSegment, idCluster, idGroup, idInfo, idTracks, idAudio:
			f.elements(body, depth+1)
		case idTrack:
			if len(f.tracks) < 100 {
				f.tracks = append(f.tracks, &matroskaTrack{})
				f.elements(body, depth+1)
			}
		default:
			f.element(id, body)
		}
		b = b[end:]
	}
}

func (f *matroskaFile) element(id uint64, b []byte) {
	var t *matroskaTrack
	if n := len(f.tracks); n > 0 {
		t = f.tracks[n-1]
	}
	switch {
	case id == idScale:
		f.scale = unsigned(b)
	case id == idDuration:
		f.stated = float(b)
	case id == idTimestamp:
		f.cluster = unsigned(b)
	case id == idSimple, id == idBlock:
		f.block(b)
	case t == nil:
	case id == idNumber:
		t.number = unsigned(b)
	case id == idType:
		t.kind = unsigned(b)
	case id == idCodec:
		t.codec = string(b[:min(len(b), 9)]) // A_AAC/MPEG4/LC and the like
		if len(t.codec) > 5 && t.codec[:5] == "A_AAC" {
			t.codec = "A_AAC"
		}
	case id == idRate:
		t.rate = float(b)
	}
}

func (f *matroskaFile) block(b []byte) {
	number, n := vint(b, false)
	if n == 0 || len(b) < n+3 {
		return
	}
	offset := int16(binary.BigEndian.Uint16(b[n:]))           //nolint:gosec // it is signed
	if at := f.cluster + uint64(max(offset, 0)); at < 1<<50 { //nolint:gosec // not negative
		f.last = max(f.last, at)
	}
	flags, data := b[n+2], b[n+3:]
	for _, t := range f.tracks {
		if t.number != number {
			continue
		}
		laced := uint64(1)
		if flags&0x06 != 0 && len(data) > 0 {
			laced = uint64(data[0]) + 1
		}
		t.blocks += laced
		switch {
		case t.codec != "A_OPUS":
		case laced > 1:
			t.samples += laced * 2880 // the longest frame
		default:
			t.samples += opusSamples(data)
		}
	}
}

// vint reads a number of variable length; keep leaves the length marker in, as ids have it. n is 0 if there is none.
func vint(b []byte, keep bool) (v uint64, n int) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0
	}
	n = bits.LeadingZeros8(b[0]) + 1
	if n > len(b) {
		return 0, 0
	}
	v = uint64(b[0])
	if !keep {
		v &= 1<<(8-n) - 1
	}
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n
}

func unsigned(b []byte) (v uint64) {
	for _, c := range b[:min(len(b), 8)] {
		v = v<<8 | uint64(c)
	}
	return v
}

// float is the whole part of an IEEE 754 number of 4 or 8 bytes, rounded up; 0 if it is none or too large.
func float(b []byte) uint64 {
	var mantissa uint64
	var exponent int
	switch len(b) {
	case 4:
		x := binary.BigEndian.Uint32(b)
		mantissa, exponent = uint64(x&(1<<23-1)|1<<23), int(x>>23&0xFF)-127-23
	case 8:
		x := binary.BigEndian.Uint64(b)
		mantissa, exponent = x&(1<<52-1)|1<<52, int(x>>52&0x7FF)-1023-52 //nolint:gosec // 11 bits
	default:
		return 0
	}
	switch {
	case b[0]&0x80 != 0, exponent < -63, exponent > 0 && exponent > bits.LeadingZeros64(mantissa):
		return 0
	case exponent >= 0:
		return mantissa << exponent
	}
	return (mantissa + 1<<-exponent - 1) >> -exponent
}
