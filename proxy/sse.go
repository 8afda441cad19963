package proxy

import "bytes"

// mostLine is the longest line of an event stream that is read. What is longer
// passes unread.
const mostLine = 256 << 10

// lineReader takes the lines of an event stream, without their ends, and says
// which of them to hide.
type lineReader interface {
	line(line []byte) (hide bool)
}

// lineScanner splits an event stream into lines, wherever the chunks are cut.
// When it hides lines it holds back an unfinished one; else all bytes pass at
// once. It takes nothing out of the stream but what is hidden: a line, its end,
// and the blank line that ends its event.
type lineScanner struct {
	hiding     bool
	overflowed bool // a line was too long to be read

	buffer   []byte // buffer[from:] is an unfinished line, from chunks before
	from     int
	skipping bool // within a line that is too long

	inEvent   bool // a line of the current event has been passed on
	dropBlank bool // the current event's only line so far was hidden
	out       []byte
}

func (s *lineScanner) reset(hiding bool) {
	*s = lineScanner{hiding: hiding, buffer: reusable(s.buffer), out: reusable(s.out)}
}

// reusable empties a buffer, and drops one that has grown beyond what idle
// meters should hold.
func reusable(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	return b[:0]
}

// pass reads the lines in chunk and returns the bytes to send on, valid until
// the next call.
func (s *lineScanner) pass(chunk []byte, r lineReader) []byte {
	if s.hiding {
		return s.passHiding(chunk, r)
	}
	rest := chunk
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		line := rest[:end]
		if len(s.buffer) > 0 {
			line = append(s.buffer, line...)
			s.buffer = line[:0]
		}
		s.read(line, r)
		rest = rest[end+1:]
	}
	if s.tooLong(len(s.buffer) + len(rest)) {
		s.buffer = s.buffer[:0]
	} else {
		s.buffer = append(s.buffer, rest...)
	}
	return chunk
}

// passHiding is pass for a stream whose usage chunk is hidden. As long as
// nothing is hidden and no line was begun before, it returns a part of chunk.
func (s *lineScanner) passHiding(chunk []byte, r lineReader) []byte {
	// data is the unfinished line with the chunk behind it; searched holds no
	// line end. The line stays where it is, so that many small chunks of a long
	// one are not copied again and again.
	data, searched := chunk, 0
	s.buffer = s.buffer[:copy(s.buffer, s.buffer[s.from:])]
	s.from = 0
	joined := len(s.buffer) > 0
	if joined {
		searched = len(s.buffer)
		s.buffer = append(s.buffer, chunk...)
		data = s.buffer
	}
	s.out = s.out[:0]
	at, sent, hidden := 0, 0, false // data[:sent] is in out, but for what is hidden
	for {
		end := bytes.IndexByte(data[max(at, searched):], '\n')
		if end < 0 {
			break
		}
		next := max(at, searched) + end + 1
		if s.read(data[at:next-1], r) {
			s.out = append(s.out, data[sent:at]...)
			sent, hidden = next, true
		}
		at = next
	}
	if s.tooLong(len(data) - at) {
		at = len(data)
	}
	if joined {
		s.from = at
	} else {
		s.buffer = append(s.buffer, data[at:]...)
	}
	if !hidden {
		return data[:at]
	}
	s.out = append(s.out, data[sent:at]...)
	return s.out
}

// tooLong notes that an unfinished line of n bytes is not kept.
func (s *lineScanner) tooLong(n int) bool {
	if n > mostLine {
		s.skipping, s.overflowed = true, true
	}
	return s.skipping
}

// read hands one whole line on, unless it is too long, and says whether to hide
// it.
func (s *lineScanner) read(line []byte, r lineReader) (hide bool) {
	if s.skipping || len(line) > mostLine {
		s.skipping, s.overflowed = false, true
		s.inEvent, s.dropBlank = true, false
		return false
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		hide = s.dropBlank
		s.inEvent, s.dropBlank = false, false
		return hide
	}
	if hide = r.line(line); hide {
		s.dropBlank = !s.inEvent
		return true
	}
	s.inEvent, s.dropBlank = true, false
	return false
}

// rest reads the last line, which no line end followed, and returns what was
// held back of it.
func (s *lineScanner) rest(r lineReader) []byte {
	line := s.buffer[s.from:]
	if len(line) == 0 {
		return nil
	}
	s.buffer, s.from = s.buffer[:0], 0
	if s.read(line, r) || !s.hiding {
		return nil
	}
	return line
}
