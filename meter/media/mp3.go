package media

import (
	"bytes"
	"encoding/binary"
)

var mp3Rates = [3]uint64{44100, 48000, 32000}

// mp3Bitrates are kbit/s for MPEG-1 layers 1 to 3, then MPEG-2 layer 1, and layers 2 and 3.
var mp3Bitrates = [5][15]uint64{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

// mpegFrame is one frame of MPEG audio, or of AAC in ADTS.
type mpegFrame struct {
	size          int
	samples, rate uint64
}

// mp3 walks the frames. What a Xing or VBRI header states only counts if it is more: it may have been written for another file.
func mp3(b []byte) (ms int64, ok bool) {
	at := skipID3(b)
	limit := min(len(b), at+64<<10) // garbage before the first frame
	for ; at < limit; at++ {
		if f, ok := frameAt(b[at:]); ok {
			if next := at + f.size; next >= len(b)-4 || isFrame(b[next:]) {
				break
			}
		}
	}
	if at >= limit {
		return 0, false
	}
	stated := statedLength(b[at:])
	var micros, lost uint64
	for at+4 <= len(b) {
		f, ok := frameAt(b[at:])
		if !ok {
			if bytes.HasPrefix(b[at:], []byte("TAG")) && len(b)-at <= 128 {
				break
			}
			lost++ // players look for the next frame, too
			at++
			continue
		}
		micros += f.samples * 1_000_000 / f.rate
		at += f.size
	}
	if lost > uint64(len(b))/2 {
		return 0, false
	}
	counted := int64((micros + 999) / 1000) //nolint:gosec // bounded by the size of the file
	return max(counted, stated), counted > 0
}

func isFrame(b []byte) bool { _, ok := frameAt(b); return ok }

// frameAt reads the header of a frame.
func frameAt(b []byte) (f mpegFrame, ok bool) {
	if len(b) < 4 || b[0] != 0xFF || b[1]&0xE0 != 0xE0 {
		return f, false
	}
	version, layer := b[1]>>3&3, 4-int(b[1]>>1&3) // 0: MPEG-2.5, 2: MPEG-2, 3: MPEG-1
	if layer == 4 {
		return adts(b)
	}
	bitrate, rate := int(b[2]>>4), int(b[2]>>2&3)
	if version == 1 || bitrate == 0 || bitrate == 15 || rate == 3 {
		return f, false
	}
	row := layer - 1
	if version != 3 {
		row = min(2+layer, 4)
	}
	f.rate = mp3Rates[rate]
	switch version {
	case 2:
		f.rate /= 2
	case 0:
		f.rate /= 4
	}
	kbit, padding := mp3Bitrates[row][bitrate], uint64(b[2]>>1&1)
	var size uint64
	switch {
	case layer == 1:
		f.samples, size = 384, (12*kbit*1000/f.rate+padding)*4
	case layer == 3 && version != 3:
		f.samples, size = 576, 72*kbit*1000/f.rate+padding
	default:
		f.samples, size = 1152, 144*kbit*1000/f.rate+padding
	}
	f.size = int(size) //nolint:gosec // below 10,000
	return f, f.size > 4
}

var adtsRates = [13]uint64{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

func adts(b []byte) (f mpegFrame, ok bool) {
	if len(b) < 7 || b[1]&0xF6 != 0xF0 || int(b[2]>>2&15) >= len(adtsRates) {
		return f, false
	}
	f.size = int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
	f.rate, f.samples = adtsRates[b[2]>>2&15], 1024*(uint64(b[6]&3)+1)
	return f, f.size >= 7
}

func skipID3(b []byte) int {
	if !bytes.HasPrefix(b, []byte("ID3")) || len(b) < 10 {
		return 0
	}
	n := int(b[6]&0x7F)<<21 | int(b[7]&0x7F)<<14 | int(b[8]&0x7F)<<7 | int(b[9]&0x7F)
	return min(10+n, len(b))
}

// statedLength is what a Xing, Info or VBRI header in the first frame says.
func statedLength(b []byte) int64 {
	f, ok := frameAt(b)
	if !ok {
		return 0
	}
	head := b[:min(len(b), max(f.size, 64))]
	frames := uint64(0)
	for _, mark := range []string{"Xing", "Info"} {
		if i := bytes.Index(head, []byte(mark)); i >= 0 && i+12 <= len(head) && head[i+7]&1 != 0 {
			frames = uint64(binary.BigEndian.Uint32(head[i+8:]))
		}
	}
	if i := bytes.Index(head, []byte("VBRI")); i >= 0 && i+18 <= len(head) {
		frames = uint64(binary.BigEndian.Uint32(head[i+14:]))
	}
	ms, _ := millisOf(frames*f.samples, f.rate)
	return ms
}
