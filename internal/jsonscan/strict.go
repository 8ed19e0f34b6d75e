package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// ValidString reports whether content is valid between the quotes of a string.
func ValidString(content []byte) bool {
	return plain(content) == len(content) || validEscapes(content)
}

func validEscapes(content []byte) bool {
	s := finder{data: append(content[:len(content):len(content)], '"')}
	end, _, ok := s.str(0)
	return ok && end == len(s.data)
}

// shortRun is how far a string is read byte by byte, which is faster for those that end soon.
const shortRun = 16

// str reads a string from behind its first quote to behind its last.
func (s *finder) str(i int) (end int, escaped, ok bool) {
	for long := i + shortRun; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			return i + 1, escaped, true
		case c < ' ':
			return i, escaped, false
		case c == '\\':
			escaped = true
			if i++; i >= len(s.data) {
				return i, escaped, false
			}
			switch s.data[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if _, ok := hex4(s.data[i+1:]); !ok {
					return i, escaped, false
				}
				i += 4
			default:
				return i, escaped, false
			}
			long = i + shortRun
		case i >= long:
			i += plain(s.data[i:]) - 1
			long = i + shortRun
		}
	}
	return i, escaped, false
}

// plain is how many bytes of b come before the first that is a quote, a backslash or a control character. Most of a large document
// are the insides of its strings, so eight bytes are looked at at once, by the trick that finds a zero byte in a word: x-1 borrows
// from the top bit of a byte that is 0, and x-0x20 from that of one below 0x20. Bytes above the first hit may seem to be hits, too.
func plain(b []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, backslash := x^'"'*ones, x^'\\'*ones
		if hits := ((x-' '*ones)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash) & tops; hits != 0 {
			return n + bits.TrailingZeros64(hits)/8
		}
	}
	for n < len(b) && b[n] >= ' ' && b[n] != '"' && b[n] != '\\' {
		n++
	}
	return n
}

func (s *finder) number(i int) (int, bool) {
	start := i
	if i < len(s.data) && s.data[i] == '-' {
		i++
	}
	whole := i
	i = s.digits(i)
	if i == whole || s.data[whole] == '0' && i > whole+1 {
		return start, false
	}
	if i < len(s.data) && s.data[i] == '.' {
		if i++; s.digits(i) == i {
			return start, false
		}
		i = s.digits(i)
	}
	if i < len(s.data) && (s.data[i] == 'e' || s.data[i] == 'E') {
		i++
		if i < len(s.data) && (s.data[i] == '+' || s.data[i] == '-') {
			i++
		}
		if s.digits(i) == i {
			return start, false
		}
		i = s.digits(i)
	}
	return i, true
}

func (s *finder) digits(i int) int {
	for i < len(s.data) && s.data[i] >= '0' && s.data[i] <= '9' {
		i++
	}
	return i
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
