package ciba

import "bytes"

// A cursor walks through JSON that is known to be valid, so that it need not look
// for mistakes and cannot run past the end.
type cursor struct {
	json []byte
	at   int
}

func (c *cursor) here() byte { return c.json[c.at] }

func (c *cursor) skipBlanks() {
	for bytes.IndexByte([]byte(" \t\r\n"), c.here()) >= 0 {
		c.at++
	}
}

// object returns the members of the object that begins here, and false if two of
// them have the same name.
func (c *cursor) object() (o object, ok bool) {
	o = make(object)
	c.at++ // the brace
	for c.skipBlanks(); c.here() != '}'; c.skipBlanks() {
		if c.here() == ',' {
			c.at++
			c.skipBlanks()
		}
		name, _ := unquote(c.value())
		c.skipBlanks()
		c.at++ // the colon
		c.skipBlanks()
		if _, twice := o[name]; twice {
			return nil, false
		}
		o[name] = c.value()
	}
	return o, true
}

// value returns the value that begins here, and moves behind it.
func (c *cursor) value() []byte {
	from := c.at
	for depth := 0; ; {
		switch c.here() {
		case '"':
			c.skipString()
		case '{', '[':
			depth++
			c.at++
		case '}', ']':
			depth--
			c.at++
		case ',', ':', ' ', '\t', '\r', '\n':
			c.at++ // inside something, or the loop would have ended
		default:
			c.skipWord()
		}
		if depth == 0 {
			return c.json[from:c.at]
		}
	}
}

func (c *cursor) skipString() {
	for c.at++; c.here() != '"'; c.at++ {
		if c.here() == '\\' {
			c.at++
		}
	}
	c.at++
}

// skipWord skips a number, true, false or null.
func (c *cursor) skipWord() {
	for bytes.IndexByte([]byte(",:]} \t\r\n"), c.here()) < 0 {
		c.at++
	}
}
