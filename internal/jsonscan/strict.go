package jsonscan

// ValidString reports whether content is valid between the quotes of a string.
func ValidString(content []byte) bool {
	for _, c := range content {
		if c < ' ' || c == '\\' || c == '"' {
			return validEscapes(content)
		}
	}
	return true
}

func validEscapes(content []byte) bool {
	s := finder{data: append(content[:len(content):len(content)], '"')}
	end, _, ok := s.str(0)
	return ok && end == len(s.data)
}

// str reads a string from behind its first quote to behind its last.
func (s *finder) str(i int) (end int, escaped, ok bool) {
	for i < len(s.data) {
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
		}
		i++
	}
	return i, escaped, false
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
