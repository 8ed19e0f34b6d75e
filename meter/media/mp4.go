package media

import (
	"encoding/binary"
	"slices"
)

// mp4Track is what is known of one track.
type mp4Track struct {
	sound             bool
	codec             string
	rate              uint64 // of the sound, from its sample entry
	scale, stated     uint64 // units a second, and the length in them
	timed, frames     uint64 // the sum of the sample table, and how many samples it has
	id, defaultLength uint64
}

type mp4File struct {
	tracks        []*mp4Track
	scale, stated uint64 // of the movie
}

// mp4Frames is how many samples of sound one frame of a codec plays.
var mp4Frames = map[string]uint64{
	"mp4a": 1024, "Opus": 960, "alac": 4096, "fLaC": 4096, "ac-3": 1536, "ec-3": 1536, ".mp3": 1152,
	"sowt": 1, "twos": 1, "lpcm": 1, "in24": 1, "in32": 1, "fl32": 1, "ulaw": 1, "alaw": 1,
}

// mp4 takes the most of what the movie, its sound track, the table of its samples and their number say.
func mp4(b []byte) (ms int64, ok bool) {
	var f mp4File
	f.boxes(b, "", nil, 0)
	ms, _ = millisOf(f.stated, f.scale)
	for _, t := range f.tracks {
		if !t.sound {
			continue
		}
		frame, known := mp4Frames[t.codec]
		if !known || t.frames == 0 {
			return 0, false
		}
		ok = true
		for _, x := range []struct{ n, per uint64 }{{t.stated, t.scale}, {t.timed, t.scale}, {t.frames * frame, t.rate}} {
			n, _ := millisOf(x.n, x.per)
			ms = max(ms, n)
		}
	}
	return ms, ok
}

// boxes walks the boxes of a container, t being the track it belongs to.
func (f *mp4File) boxes(b []byte, parent string, t *mp4Track, depth int) {
	for len(b) >= 8 && depth < 10 {
		size, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
		kind := string(b[4:8])
		switch {
		case size == 1 && len(b) >= 16:
			size, head = binary.BigEndian.Uint64(b[8:]), 16
		case size == 0:
			size = uint64(len(b))
		}
		if size < head {
			return
		}
		body := b[head:min(size, uint64(len(b)))]
		switch kind {
		case "moov", "mdia", "minf", "stbl", "mvex", "moof":
			f.boxes(body, kind, t, depth+1)
		case "trak":
			if len(f.tracks) < 100 {
				f.tracks = append(f.tracks, &mp4Track{})
				f.boxes(body, kind, f.tracks[len(f.tracks)-1], depth+1)
			}
		case "traf":
			f.fragment(body)
		default:
			f.box(kind, body, t)
		}
		b = b[min(size, uint64(len(b))):]
	}
}

func (f *mp4File) box(kind string, b []byte, t *mp4Track) {
	u32 := func(at int) uint64 {
		if at+4 > len(b) {
			return 0
		}
		return uint64(binary.BigEndian.Uint32(b[at:]))
	}
	length := func() (scale, n uint64) { // of mvhd and mdhd
		if len(b) >= 32 && b[0] == 1 {
			return u32(20), binary.BigEndian.Uint64(b[24:])
		}
		return u32(12), u32(16)
	}
	switch {
	case kind == "mvhd":
		f.scale, f.stated = length()
	case kind == "trex":
		for _, t := range f.tracks {
			if t.id == u32(4) {
				t.defaultLength = u32(12)
			}
		}
	case t == nil:
	case kind == "tkhd":
		if t.id = u32(12); len(b) > 0 && b[0] == 1 {
			t.id = u32(20)
		}
	case kind == "mdhd":
		t.scale, t.stated = length()
	case kind == "hdlr" && len(b) >= 12:
		t.sound = string(b[8:12]) == "soun"
	case kind == "stsd" && len(b) >= 44:
		t.codec, t.rate = string(b[12:16]), u32(40)>>16
		if t.codec == "Opus" {
			t.rate = 48000
		}
	case kind == "stts":
		for i := 8; i+8 <= len(b); i += 8 {
			t.timed += u32(i) * u32(i+4)
		}
	case kind == "stsz", kind == "stz2":
		t.frames += u32(8)
	}
}

// fragment takes the samples of one fragment of a track.
func (f *mp4File) fragment(b []byte) {
	var t *mp4Track
	var each uint64 // the length of a sample that states none
	for len(b) >= 8 {
		size := uint64(binary.BigEndian.Uint32(b))
		if size < 8 || size > uint64(len(b)) {
			return
		}
		kind, body := string(b[4:8]), b[8:size]
		switch {
		case kind == "tfhd" && len(body) >= 8:
			if named := f.track(binary.BigEndian.Uint32(body[4:])); named != nil {
				t, each = named, named.sampleLength(body)
			}
		case kind == "trun" && t != nil && len(body) >= 8:
			t.run(body, each)
		}
		b = b[size:]
	}
}

func (f *mp4File) track(id uint32) *mp4Track {
	for _, t := range slices.Backward(f.tracks) {
		if t.id == uint64(id) {
			return t
		}
	}
	return nil
}

// sampleLength is the length of a sample by the header of a fragment, else that of the track.
func (t *mp4Track) sampleLength(header []byte) uint64 {
	flags, at := binary.BigEndian.Uint32(header), 8
	if flags&1 != 0 { // base data offset
		at += 8
	}
	if flags&2 != 0 { // sample description
		at += 4
	}
	if flags&8 != 0 && at+4 <= len(header) {
		return uint64(binary.BigEndian.Uint32(header[at:]))
	}
	return t.defaultLength
}

func (t *mp4Track) run(b []byte, each uint64) {
	flags, n, at := binary.BigEndian.Uint32(b), uint64(binary.BigEndian.Uint32(b[4:])), 8
	for _, flag := range []uint32{1, 4} {
		if flags&flag != 0 {
			at += 4
		}
	}
	step := 0
	for _, flag := range []uint32{0x100, 0x200, 0x400, 0x800} {
		if flags&flag != 0 {
			step += 4
		}
	}
	t.frames += n
	if flags&0x100 == 0 {
		t.timed += n * each
		return
	}
	for ; n > 0 && at+step <= len(b); n-- {
		t.timed += uint64(binary.BigEndian.Uint32(b[at:]))
		at += step
	}
}
