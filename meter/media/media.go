// Package media reads how long a recording is, without decoding it.
//
// A length that only a header states is never trusted alone: whoever uploads a file also writes its header. Length counts the
// frames or packets where the container allows it, takes the larger of what it counts and what the header states, and falls
// back to a bound by the size of the file where it can do neither.
//
// Sources: RFC 9639 (FLAC), RFC 3533 (Ogg), RFC 6716 and 7845 (Opus), RFC 9559 (Matroska), ISO/IEC 14496-12 (MP4),
// ISO/IEC 11172-3 with the Xing and VBRI headers (MP3), the Microsoft RIFF specification (WAV).
package media

import "bytes"

// leastRate is the least bytes a second of sound that is worth sending takes: half of what AMR and Opus need at their lowest.
const leastRate = 400

// maxMillis bounds every result: 1,000 hours.
const maxMillis = 1000 * 3600 * 1000

// Length is how long a recording plays, in milliseconds. Exact is false if the format is unknown or the file is damaged: then
// the length is the most that a file of this size can hold.
func Length(file []byte) (millis int64, exact bool) {
	if ms, ok := read(file); ok {
		return min(max(ms, 1), maxMillis), true
	}
	return Bound(int64(len(file))), false
}

// Bound is the most milliseconds of sound that a file of this many bytes can hold.
func Bound(size int64) int64 { return min(max(size, 1)*1000/leastRate+1, maxMillis) }

func read(b []byte) (ms int64, ok bool) {
	switch {
	case len(b) < 12:
		return 0, false
	case string(b[:4]) == "RIFF" && string(b[8:12]) == "WAVE":
		return wav(b)
	case string(b[:4]) == "fLaC":
		return flac(b)
	case string(b[:4]) == "OggS":
		return ogg(b)
	case string(b[4:8]) == "ftyp":
		return mp4(b)
	case bytes.HasPrefix(b, []byte{0x1A, 0x45, 0xDF, 0xA3}):
		return matroska(b)
	}
	return mp3(b)
}

// millisOf is n samples at a rate, rounded up.
func millisOf(n, rate uint64) (int64, bool) {
	if rate == 0 || n > 1<<50 {
		return 0, false
	}
	return int64((n*1000 + rate - 1) / rate), true //nolint:gosec // below 2^60
}
