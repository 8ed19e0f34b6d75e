package media

import (
	"bytes"
	"encoding/binary"
	"testing"
)

var be, le = binary.BigEndian, binary.LittleEndian

// wavFile is n bytes of sound behind a header.
func wavFile(tag, channels, bits uint16, rate, stated uint32, n int) []byte {
	b := []byte("RIFF....WAVEfmt \x10\x00\x00\x00")
	b = le.AppendUint16(le.AppendUint16(b, tag), channels)
	b = le.AppendUint32(le.AppendUint32(b, rate), 1<<30) // a byte rate that lies
	b = le.AppendUint16(le.AppendUint16(b, channels*bits/8), bits)
	b = le.AppendUint32(append(b, "data"...), stated)
	return append(b, make([]byte, n)...)
}

// mp3File is n frames of MPEG-1 layer 3, 128 kbit/s, 44.1 kHz: 417 bytes, 1,152 samples each.
func mp3File(n int, first func(frame []byte)) []byte {
	var b []byte
	for i := range n {
		frame := make([]byte, 417)
		copy(frame, "\xFF\xFB\x90\x00")
		if i == 0 && first != nil {
			first(frame)
		}
		b = append(b, frame...)
	}
	return b
}

func oggPage(serial uint32, granule uint64, packets ...[]byte) []byte {
	b := le.AppendUint64([]byte("OggS\x00\x00"), granule)
	b = le.AppendUint32(b, serial)
	b = append(b, make([]byte, 8)...)
	var sizes, data []byte
	for _, p := range packets {
		for n := len(p); ; n -= 255 {
			sizes = append(sizes, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
		data = append(data, p...)
	}
	return append(append(append(b, byte(len(sizes))), sizes...), data...)
}

func opusFile(packets int, granule uint64) []byte {
	b := append(oggPage(7, 0, []byte("OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00")), oggPage(7, 0, []byte("OpusTags........"))...)
	for range packets {
		b = append(b, oggPage(7, granule, append([]byte{1 << 3}, make([]byte, 300)...))...) // 20 ms
	}
	return b
}

func flacFile(stated uint64, frames int) []byte {
	b := append([]byte("fLaC"), 0x80, 0, 0, 34)
	b = be.AppendUint16(be.AppendUint16(b, 4096), 4096)
	b = append(b, 0, 0, 0, 0, 0, 0)
	b = be.AppendUint64(b, 16000<<44|15<<36|stated)
	b = append(b, make([]byte, 16)...)
	for i := range frames {
		h := []byte{0xFF, 0xF8, 0xC5, 0x08, byte(i)} // 4,096 samples
		b = append(append(append(b, h...), crc8(h)), make([]byte, 20)...)
	}
	return b
}

func box(kind string, body ...[]byte) []byte {
	b := append(be.AppendUint32(nil, 0), kind...)
	for _, x := range body {
		b = append(b, x...)
	}
	be.PutUint32(b, uint32(len(b))) //nolint:gosec // small
	return b
}

func words(n ...uint32) (b []byte) {
	for _, x := range n {
		b = be.AppendUint32(b, x)
	}
	return b
}

// m4aFile states a length, and has so many frames of AAC at 44.1 kHz.
func m4aFile(seconds, frames uint32) []byte {
	entry := append([]byte("....mp4a........"), make([]byte, 16)...)
	entry = append(entry, words(44100<<16)...)
	stbl := box("stbl", box("stsd", words(0, 1), entry), box("stts", words(0, 1, frames, 1)), box("stsz", words(0, 0, frames)))
	mdia := box("mdia", box("mdhd", words(0, 0, 0, 1000, seconds*1000)), box("hdlr", words(0, 0), []byte("soun")), box("minf", stbl))
	return append(box("ftyp", []byte("M4A ")), box("moov", box("mvhd", words(0, 0, 0, 1000, seconds*1000)), box("trak", mdia))...)
}

func element(id []byte, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	size := be.AppendUint64(nil, uint64(len(all))|1<<56)
	return append(append(bytes.Clone(id), size...), all...)
}

// webmFile states no length in its header, and has so many blocks of 20 ms of Opus, all at the same time.
func webmFile(blocks int) []byte {
	track := element([]byte{0xAE}, element([]byte{0xD7}, []byte{1}), element([]byte{0x83}, []byte{2}), element([]byte{0x86}, []byte("A_OPUS")))
	var cluster [][]byte
	cluster = append(cluster, element([]byte{0xE7}, []byte{0}))
	for range blocks {
		cluster = append(cluster, element([]byte{0xA3}, []byte{0x81, 0, 0, 0x80, 1 << 3}))
	}
	return append(element([]byte{0x1A, 0x45, 0xDF, 0xA3}, []byte("webm")),
		element([]byte{0x18, 0x53, 0x80, 0x67}, element([]byte{0x16, 0x54, 0xAE, 0x6B}, track), element([]byte{0x1F, 0x43, 0xB6, 0x75}, cluster...))...)
}

// A header that states less than there is makes nothing shorter.
func TestLength(t *testing.T) {
	xing := func(frames uint32) func([]byte) {
		return func(f []byte) { copy(f[36:], append([]byte("Xing\x00\x00\x00\x01"), words(frames)...)) }
	}
	for name, tt := range map[string]struct {
		file   []byte
		millis int64
		exact  bool
	}{
		"WAV":                                   {wavFile(1, 1, 16, 16000, 352000, 352000), 11000, true},
		"WAV of a stream, without a size":       {wavFile(1, 2, 16, 8000, 0xFFFFFFFF, 64000), 2000, true},
		"WAV that states a tenth":               {wavFile(1, 1, 16, 16000, 35200, 352000), 11000, true},
		"WAV, µ-law":                            {wavFile(7, 1, 8, 8000, 16000, 16000), 2000, true},
		"WAV of something unknown":              {wavFile(0x55, 1, 16, 16000, 4000, 4000), Bound(4044), false},
		"MP3, constant":                         {mp3File(100, nil), 2613, true},
		"MP3 behind a tag":                      {append([]byte("ID3\x03\x00\x00\x00\x00\x00\x04abcd"), mp3File(100, nil)...), 2613, true},
		"MP3 whose Xing header lies":            {mp3File(100, xing(1)), 2613, true},
		"MP3 whose Xing header states more":     {mp3File(100, xing(200)), 5225, true},
		"Opus":                                  {opusFile(100, 96000), 2000, true},
		"Opus whose pages state nothing":        {opusFile(100, 0), 2000, true},
		"FLAC":                                  {flacFile(4*4096, 4), 1024, true},
		"FLAC that states one sample":           {flacFile(1, 4), 1024, true},
		"FLAC without frames":                   {flacFile(16000, 0), Bound(42), false},
		"M4A":                                   {m4aFile(2, 87), 2021, true},
		"M4A that states nothing":               {m4aFile(0, 87), 2021, true},
		"WebM whose blocks are all at one time": {webmFile(100), 2000, true},
		"nothing":                               {nil, Bound(0), false},
		"text":                                  {[]byte("this is no sound at all"), Bound(23), false},
	} {
		if ms, exact := Length(tt.file); ms != tt.millis || exact != tt.exact {
			t.Errorf("%s: %d ms, exact %v; want %d, %v", name, ms, exact, tt.millis, tt.exact)
		}
	}
}

// Whatever is uploaded, its length is positive and bounded, and a longer file of the same kind is not shorter by reading less.
func FuzzLength(f *testing.F) {
	for _, b := range [][]byte{wavFile(1, 1, 16, 16000, 320, 320), mp3File(3, nil), opusFile(2, 9), flacFile(9, 2), m4aFile(1, 9), webmFile(2), nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ms, _ := Length(b)
		if ms < 1 || ms > maxMillis {
			t.Errorf("%d ms", ms)
		}
	})
}
