package media

import "encoding/binary"

// wav counts the bytes of sound by what a sample takes. The byte rate in the header is not looked at: players do not either.
func wav(b []byte) (ms int64, ok bool) {
	var rate, frame, frames uint64 // samples a second, bytes and samples of one frame
	for at := 12; at+8 <= len(b); {
		kind, size := string(b[at:at+4]), uint64(binary.LittleEndian.Uint32(b[at+4:]))
		body := b[at+8:]
		if kind == "data" {
			if frame == 0 {
				return 0, false
			}
			// Streams are written with a size of 0 or of all ones; a size that is too small does not hide what follows.
			rest := uint64(len(body))
			if size < rest && plausibleChunks(body[size:]) {
				rest = size
			}
			return millisOf((rest+frame-1)/frame*frames, rate)
		}
		if size > uint64(len(body)) {
			return 0, false
		}
		if kind == "fmt " && size >= 16 {
			rate, frame, frames = wavFormat(body[:size])
		}
		at += 8 + int(size+size&1) //nolint:gosec // not larger than the file
	}
	return 0, false
}

// wavFormat is the sample rate, and how many bytes one frame of how many samples takes; 0 bytes: unknown.
func wavFormat(f []byte) (rate, bytes, samples uint64) {
	tag := binary.LittleEndian.Uint16(f)
	channels, bits := uint64(binary.LittleEndian.Uint16(f[2:])), uint64(binary.LittleEndian.Uint16(f[14:]))
	rate = uint64(binary.LittleEndian.Uint32(f[4:]))
	if tag == 0xFFFE && len(f) >= 26 { // extensible: the real tag begins its GUID
		tag = binary.LittleEndian.Uint16(f[24:])
	}
	switch tag {
	case 1, 3: // PCM, float
		return rate, channels * ((bits + 7) / 8), 1
	case 6, 7: // A-law, µ-law
		return rate, channels, 1
	case 2, 0x11: // ADPCM: 4 bits a sample in blocks; the headers of blocks are left out, so that it is no less
		return rate, channels, 2
	}
	return rate, 0, 0
}

// plausibleChunks reports whether what follows the sound is a list of further chunks, such as tags, to its end.
func plausibleChunks(b []byte) bool {
	for len(b) > 8 {
		for _, c := range b[:4] {
			if c < ' ' || c > '~' {
				return len(b) < 9
			}
		}
		size := uint64(binary.LittleEndian.Uint32(b[4:]))
		if string(b[:4]) == "data" || size > uint64(len(b)-8) { //nolint:gosec // not negative
			return false
		}
		b = b[min(8+size+size&1, uint64(len(b))):]
	}
	return true
}
