package mock

import (
	"net"
	"strconv"
	"time"

	"github.com/pursestring/pursestring/bench/internal/mono"
)

// stream writes one stream on a hijacked connection, watches it meanwhile, and
// closes it.
func (s *Server) stream(c net.Conn, wish Wish) {
	// fasthttp's wrapper goes back to a pool when this function returns, and the
	// watcher would read on from another stream's connection. Behind it is nothing
	// buffered: nobody sends a request before the stream before it has ended.
	if wrapper, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		c = wrapper.UnsafeConn()
	}
	left := s.watch(c, wish.ID)
	defer func() {
		_ = c.Close() // which ends the watcher
		<-left
	}()
	if s.writeEvents(c, wish, left) {
		end := appendChunk(nil, streamUsage+streamDone)
		_, _ = c.Write(append(end, "0\r\n\r\n"...)) // a client that has left is no matter here
	}
}

// watch notes when a stream's connection ends, and closes the channel then.
func (s *Server) watch(c net.Conn, id int64) <-chan struct{} {
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = c.Read(make([]byte, 1)) // whatever it returns, the peer has left or we have closed
		if id != 0 {
			s.note(id, mono.Now())
		}
	}()
	return left
}

// writeEvents writes the head and the events; false when the peer has left.
func (s *Server) writeEvents(c net.Conn, wish Wish, left <-chan struct{}) bool {
	buf := make([]byte, 0, 4<<10)
	timer := time.NewTimer(wish.Delay)
	defer timer.Stop()
	for i := range wish.Events {
		select {
		case <-timer.C:
		case <-left:
			return false
		}
		timer.Reset(wish.Interval)
		buf = buf[:0]
		if i == 0 {
			buf = append(buf, streamHead...)
		}
		buf = appendEvent(buf, mono.Now())
		if _, err := c.Write(buf); err != nil {
			<-left // the watcher sees the same end, and stamps it
			return false
		}
	}
	if wish.Hold {
		<-left
		return false
	}
	return true
}

// note keeps the first sighting of a stream's end.
func (s *Server) note(id, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.gone[id]; !known {
		s.gone[id] = at
	}
}

// appendEvent appends one event as one chunk. Its size does not depend on now.
func appendEvent(dst []byte, now int64) []byte {
	event := make([]byte, 0, len(eventStart)+len(eventEnd)+20)
	event = append(event, eventStart...)
	event = strconv.AppendInt(event, now, 10)
	event = append(event, eventEnd...)
	return appendChunk(dst, string(event))
}

func appendChunk(dst []byte, data string) []byte {
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}
