package media

import (
	"bytes"
	"encoding/binary"
)

// oggStream is what is known of one logical stream.
type oggStream struct {
	serial     uint32
	codec      byte // 'o' Opus, 'v' Vorbis, 's' Speex, 'f' FLAC; 0: something else
	rate       uint64
	least      uint64 // samples that every packet of Vorbis plays at the least
	samples    uint64 // counted
	granule    uint64 // the last one stated
	head, open bool   // the first packet was seen; a packet goes on in the next page
}

// ogg walks the pages, counts what each packet plays, and takes the most of that and of what the last page states.
func ogg(b []byte) (ms int64, ok bool) {
	var streams []*oggStream
	for at := 0; at+27 <= len(b); {
		if string(b[at:at+4]) != "OggS" {
			next := bytes.Index(b[at:], []byte("OggS"))
			if next < 0 {
				break
			}
			at += next
			continue
		}
		count := int(b[at+26])
		if at+27+count > len(b) {
			break
		}
		sizes := b[at+27 : at+27+count]
		s := streamOf(&streams, binary.LittleEndian.Uint32(b[at+14:]))
		if s == nil {
			return 0, false
		}
		if g := binary.LittleEndian.Uint64(b[at+6:]); g != 1<<64-1 {
			s.granule = max(s.granule, g)
		}
		at = s.page(b, at+27+count, sizes)
	}
	for _, s := range streams {
		samples := s.samples
		if s.granule < 1<<50 {
			samples = max(samples, s.granule)
		}
		if s.codec == 0 {
			continue
		}
		if n, fine := millisOf(samples, s.rate); fine {
			ms, ok = max(ms, n), true
		}
	}
	return ms, ok
}

func streamOf(list *[]*oggStream, serial uint32) *oggStream {
	for _, s := range *list {
		if s.serial == serial {
			return s
		}
	}
	if len(*list) > 16 {
		return nil
	}
	s := &oggStream{serial: serial}
	*list = append(*list, s)
	return s
}

// page takes the packets of one page and returns where the next page begins.
func (s *oggStream) page(b []byte, at int, sizes []byte) int {
	start := at
	for _, size := range sizes {
		at += int(size)
		if size == 255 {
			continue
		}
		if !s.open && start < len(b) {
			s.packet(b[start:min(at, len(b))])
		}
		s.open, start = false, at
	}
	if start < at { // begins here and ends in a later page
		if !s.open && start < len(b) {
			s.packet(b[start:min(at, len(b))])
		}
		s.open = true
	}
	return at
}

func (s *oggStream) packet(p []byte) {
	if !s.head {
		s.head = true
		s.begin(p)
		return
	}
	switch s.codec {
	case 'o':
		if !bytes.HasPrefix(p, []byte("OpusTags")) {
			s.samples += opusSamples(p)
		}
	case 'v':
		if len(p) > 0 && p[0]&1 == 0 { // sound
			s.samples += s.least
		}
	}
}

// begin reads the first packet of a stream, which says what it is.
func (s *oggStream) begin(p []byte) {
	switch {
	case bytes.HasPrefix(p, []byte("OpusHead")):
		s.codec, s.rate = 'o', 48000
	case bytes.HasPrefix(p, []byte("\x01vorbis")) && len(p) >= 29:
		// Which packets are long nothing says without decoding: the count is of short blocks, the pages state the rest.
		s.codec, s.rate = 'v', uint64(binary.LittleEndian.Uint32(p[12:]))
		s.least = 1 << min(p[28]&15, 13) / 2
	case bytes.HasPrefix(p, []byte("Speex   ")) && len(p) >= 40:
		s.codec, s.rate = 's', uint64(binary.LittleEndian.Uint32(p[36:]))
	case bytes.HasPrefix(p, []byte("\x7fFLAC")) && len(p) >= 35:
		s.codec, s.rate = 'f', binary.BigEndian.Uint64(p[27:])>>44
	}
}

// opusSamples is what a packet of Opus plays, at 48 kHz (RFC 6716, section 3.1).
func opusSamples(p []byte) uint64 {
	if len(p) == 0 {
		return 0
	}
	config := p[0] >> 3
	var frame uint64
	switch {
	case config < 12:
		frame = [4]uint64{480, 960, 1920, 2880}[config&3]
	case config < 16:
		frame = [2]uint64{480, 960}[config&1]
	default:
		frame = [4]uint64{120, 240, 480, 960}[config&3]
	}
	switch p[0] & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	}
	if len(p) < 2 {
		return 0
	}
	return min(frame*uint64(p[1]&63), 5760)
}
