package tokens

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// media estimates the tokens of an inline medium from its base64. Formulas: wire.md §6.5.
func (m Model) media(b64 []byte) int64 {
	size := int64(len(b64)) * 3 / 4
	var head [48 << 10]byte // JPEG dimensions come after the metadata, usually within 48 KB
	h := head[:decodePrefix(head[:], b64)]
	switch {
	case bytes.HasPrefix(h, []byte("%PDF-")):
		return PDFPages(b64) * (3000 + m.worstPage())
	case bytes.HasPrefix(h, []byte("RIFF")) && len(h) >= 32 && string(h[8:12]) == "WAVE":
		return wavTokens(h, size)
	case bytes.HasPrefix(h, []byte("ID3")), bytes.HasPrefix(h, []byte("OggS")), bytes.HasPrefix(h, []byte("fLaC")),
		len(h) > 1 && h[0] == 0xFF && h[1]&0xE0 == 0xE0 && h[1] != 0xD8:
		return Audio(size)
	case len(h) > 12 && string(h[4:8]) == "ftyp":
		return max(size/16000, 1) * 300 // video from 128 kbit/s, about 300 tokens a second with its sound
	}
	if w, ht, ok := imageSize(h); ok {
		return m.image(w, ht)
	}
	if isImage(h) {
		return m.WorstImage()
	}
	return max(int64(len(b64))/4, 1) // signatures, encrypted reasoning, unknown files
}

// decodePrefix decodes as much of b64 as fits dst, without allocating.
func decodePrefix(dst, b64 []byte) int {
	n := min(len(b64), len(dst)/3*4) &^ 3
	m, _ := base64.StdEncoding.Decode(dst, b64[:n])
	if m == 0 {
		m, _ = base64.URLEncoding.Decode(dst, b64[:n])
	}
	return m
}

func isImage(h []byte) bool {
	return bytes.HasPrefix(h, []byte("\x89PNG\r\n\x1a\n")) || bytes.HasPrefix(h, []byte("\xFF\xD8")) || bytes.HasPrefix(h, []byte("GIF8")) ||
		bytes.HasPrefix(h, []byte("RIFF"))
}

// imageSize reads the dimensions of PNG, GIF, WebP and JPEG.
func imageSize(h []byte) (w, ht int64, ok bool) {
	be, le := binary.BigEndian, binary.LittleEndian
	switch {
	case bytes.HasPrefix(h, []byte("\x89PNG\r\n\x1a\n")) && len(h) >= 24:
		w, ht = int64(be.Uint32(h[16:])), int64(be.Uint32(h[20:]))
	case bytes.HasPrefix(h, []byte("GIF8")) && len(h) >= 10:
		w, ht = int64(le.Uint16(h[6:])), int64(le.Uint16(h[8:]))
	case bytes.HasPrefix(h, []byte("RIFF")) && len(h) >= 30 && string(h[8:12]) == "WEBP":
		switch string(h[12:16]) {
		case "VP8 ":
			w, ht = int64(le.Uint16(h[26:])&0x3FFF), int64(le.Uint16(h[28:])&0x3FFF)
		case "VP8L":
			bits := le.Uint32(h[21:])
			w, ht = int64(bits&0x3FFF)+1, int64(bits>>14&0x3FFF)+1
		case "VP8X":
			w = int64(h[24]) | int64(h[25])<<8 | int64(h[26])<<16 + 1
			ht = int64(h[27]) | int64(h[28])<<8 | int64(h[29])<<16 + 1
		}
	case bytes.HasPrefix(h, []byte("\xFF\xD8")):
		w, ht = jpegSize(h)
	}
	return w, ht, w > 0 && ht > 0 && w < 1<<20 && ht < 1<<20
}

// jpegSize finds the start-of-frame segment.
func jpegSize(h []byte) (w, ht int64) {
	for i := 2; i+9 < len(h) && h[i] == 0xFF; {
		marker := h[i+1]
		if marker == 0xFF {
			i++
			continue
		}
		if marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC {
			return int64(binary.BigEndian.Uint16(h[i+7:])), int64(binary.BigEndian.Uint16(h[i+5:]))
		}
		if marker >= 0xD0 && marker <= 0xD9 {
			i += 2
			continue
		}
		i += 2 + int(binary.BigEndian.Uint16(h[i+2:]))
	}
	return 0, 0
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// WorstImage is the bound for an image of unknown size.
func (m Model) WorstImage() int64 {
	switch m.Family {
	case anthropic:
		return 4800
	case gemini:
		return 1120
	}
	return 14400
}

// worstPage is the image of one document page.
func (m Model) worstPage() int64 { return min(m.WorstImage(), 1600) }

func (m Model) image(w, h int64) int64 {
	switch {
	case m.Family == anthropic || strings.Contains(m.Name, "claude"):
		return min(ceilDiv(w, 28)*ceilDiv(h, 28), 4800)
	case m.Family == gemini || strings.Contains(m.Name, "gemini"):
		return 1120
	case strings.HasPrefix(m.Name, "gpt-4o-mini"):
		return tiles(w, h, 2833, 5667)
	case strings.HasPrefix(m.Name, "gpt-4o"), strings.HasPrefix(m.Name, "gpt-4.1") && !strings.Contains(m.Name, "mini") && !strings.Contains(m.Name, "nano"):
		return tiles(w, h, 85, 170)
	}
	return min(ceilDiv(ceilDiv(w, 32)*ceilDiv(h, 32)*12, 10), 14400)
}

// tiles is OpenAI's older formula: fit into 2048², shorter side to 768, 512² tiles.
func tiles(w, h, base, tile int64) int64 {
	if long := max(w, h); long > 2048 {
		w, h = ceilDiv(w*2048, long), ceilDiv(h*2048, long)
	}
	if short := min(w, h); short > 768 {
		w, h = ceilDiv(w*768, short), ceilDiv(h*768, short)
	}
	return base + tile*ceilDiv(w, 512)*ceilDiv(h, 512)
}

// Audio bounds compressed audio: 16 kbit/s is the floor of speech codecs, 32 tokens a second.
func Audio(size int64) int64 { return max(size/2000, 1) * 32 }

// wavTokens takes the duration from the byte rate in the header.
func wavTokens(h []byte, size int64) int64 {
	rate := max(int64(binary.LittleEndian.Uint32(h[28:])), 2000)
	return (size/rate + 1) * 32
}

// PDFPages bounds the pages of a PDF, given as base64, by the largest /Count in its page tree, else by its size.
func PDFPages(b64 []byte) int64 {
	var buf [3 << 10]byte
	pages := int64(0)
	const step = len(buf) / 3 * 4
	for i := 0; i < len(b64) && i < 8<<20; i += step - 64 { // pieces overlap: a number may straddle two
		piece := b64[i:min(i+step, len(b64))]
		n, _ := base64.StdEncoding.Decode(buf[:], piece[:len(piece)&^3])
		pages = max(pages, largestCount(buf[:n]))
	}
	if pages > 0 {
		return pages
	}
	return 1 + int64(len(b64))*3/4/8000 // compressed page trees: dense text pages have about 8 KB
}

func largestCount(b []byte) (pages int64) {
	for {
		i := bytes.Index(b, []byte("/Count "))
		if i < 0 {
			return pages
		}
		b = b[i+7:]
		n := int64(0)
		for j := 0; j < len(b) && j < 5 && b[j] >= '0' && b[j] <= '9'; j++ {
			n = n*10 + int64(b[j]-'0')
		}
		pages = max(pages, n)
	}
}
