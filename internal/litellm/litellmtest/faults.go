package litellmtest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind is a way for LiteLLM to fail.
type FaultKind uint8

// Ways to fail.
const (
	Slow       FaultKind = iota // answers after Delay
	Down                        // 503, as LiteLLM without its database
	Hang                        // no byte until the client leaves or the server closes
	CutStream                   // the connection breaks after Events events of a stream
	Garbage                     // a head that is no HTTP
	CloseEarly                  // the connection closes without an answer
)

// Fault is a failure that is switched on.
type Fault struct {
	Kind   FaultKind
	Path   string        // prefix; empty: every path
	Delay  time.Duration // Slow
	Events int           // CutStream
	Times  int           // ends after so many requests; 0: with Heal
}

// Fail switches a failure on, beside those that are.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal switches all failures off. Requests that hang go on hanging.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// struck returns the first failure of these kinds that meets the request, and
// counts it.
func (s *Server) struck(path string, kinds ...FaultKind) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if !slices.Contains(kinds, f.Kind) || !strings.HasPrefix(path, f.Path) {
			continue
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return &hit
	}
	return nil
}

// fail reports whether a failure has answered the request.
func (s *Server) fail(w http.ResponseWriter, r *http.Request) bool {
	if f := s.struck(r.URL.Path, Slow); f != nil {
		s.pause(f.Delay)
	}
	f := s.struck(r.URL.Path, Down, Hang, Garbage, CloseEarly)
	if f == nil {
		return false
	}
	switch f.Kind {
	case Down:
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable, the authentication database is temporarily unreachable. Please retry shortly.", "no_db_connection", "None")
	case Hang:
		// The server notices that a client has left only once the body is read.
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-s.ctx.Done():
		}
		panic(http.ErrAbortHandler)
	case Garbage:
		if conn := hijack(w); conn != nil {
			_, _ = conn.Write([]byte("\x16\x03\x01 this is not HTTP\r\n\r\n"))
			_ = conn.Close()
		}
	case CloseEarly, Slow, CutStream:
		panic(http.ErrAbortHandler)
	}
	return true
}

func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	return conn
}

// readBody reads a request body, bounded.
func readBody(r *http.Request) []byte {
	b, _ := io.ReadAll(io.LimitReader(r.Body, 256<<20))
	return bytes.TrimSpace(b)
}
