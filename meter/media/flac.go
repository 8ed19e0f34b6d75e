package media

import "encoding/binary"

// flac takes the larger of the number of samples that the stream info states and where the last frame begins and ends.
func flac(b []byte) (ms int64, ok bool) {
	if len(b) < 42 || b[4]&0x7F != 0 {
		return 0, false
	}
	info := b[8:42]
	least, most := uint64(binary.BigEndian.Uint16(info)), uint64(binary.BigEndian.Uint16(info[2:]))
	word := binary.BigEndian.Uint64(info[10:])
	rate, stated := word>>44, word&(1<<36-1)
	fixed := least
	if least != most {
		fixed = 0
	}
	counted, found := lastFlacFrame(b[42:], fixed, most)
	if !found {
		return 0, false
	}
	return millisOf(max(stated, counted), rate)
}

// lastFlacFrame finds the last frame from the end, by its sync code and the checksum of its header, and says how many samples
// there are up to its end.
func lastFlacFrame(b []byte, fixed, most uint64) (samples uint64, ok bool) {
	for i := len(b) - 6; i >= 0; i-- {
		if b[i] != 0xFF || b[i+1]&0xFE != 0xF8 {
			continue
		}
		number, size, ok := flacHeader(b[i:min(len(b), i+16)])
		if !ok {
			continue
		}
		if b[i+1]&1 == 1 { // blocks of differing sizes: the number is of samples
			return number + size, true
		}
		if fixed == 0 {
			fixed = most
		}
		return number*max(fixed, size) + size, true
	}
	return 0, false
}

// flacHeader reads a frame's number and block size; ok if its checksum is right.
func flacHeader(h []byte) (number, size uint64, ok bool) {
	code, at := h[2]>>4, 4
	number, n := utf8Number(h[at:])
	if n == 0 || code == 0 {
		return 0, 0, false
	}
	at += n
	switch {
	case code == 1:
		size = 192
	case code <= 5:
		size = 576 << (code - 2)
	case code == 6 && at < len(h):
		size, at = uint64(h[at])+1, at+1
	case code == 7 && at+1 < len(h):
		size, at = uint64(binary.BigEndian.Uint16(h[at:]))+1, at+2
	case code >= 8:
		size = 256 << (code - 8)
	}
	switch h[2] & 15 {
	case 12:
		at++
	case 13, 14:
		at += 2
	case 15:
		return 0, 0, false
	}
	return number, size, at < len(h) && size > 0 && crc8(h[:at]) == h[at]
}

// utf8Number is FLAC's number in up to 7 bytes, coded as UTF-8 is.
func utf8Number(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	first := b[0]
	for n = 0; n < 8 && first&(0x80>>n) != 0; n++ {
	}
	switch {
	case n == 0:
		return uint64(first), 1
	case n == 1 || n == 8 || n > len(b):
		return 0, 0
	}
	v = uint64(first & (0x7F >> n))
	for _, c := range b[1:n] {
		if c&0xC0 != 0x80 {
			return 0, 0
		}
		v = v<<6 | uint64(c&0x3F)
	}
	return v, n
}

func crc8(b []byte) (crc byte) {
	for _, c := range b {
		crc ^= c
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x07
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
