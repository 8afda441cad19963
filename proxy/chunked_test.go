package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"
)

func readChunks(r io.Reader) (string, string, error) {
	br := bufio.NewReaderSize(r, 64)
	var d chunkReader
	var out []byte
	for {
		data, err := d.next(br)
		out = append(out, data...)
		if errors.Is(err, io.EOF) {
			rest, err := io.ReadAll(br)
			return string(out), string(rest), err
		}
		if err != nil {
			return string(out), "", err
		}
	}
}

func TestChunkReader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want, rest string }{
		"one chunk":                   {"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
		"what follows stays":          {"5\r\nhello\r\n0\r\n\r\nHTTP/1.1", "hello", "HTTP/1.1"},
		"extensions and trailers":     {"5;a=b\r\nhello\r\n0 ;x\r\nA: b\r\nC: d\r\n\r\n.", "hello", "."},
		"leading zeros, upper case":   {"000A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
		"an empty body":               {"0\r\n\r\n", "", ""},
		"larger than the read buffer": {"12c\r\n" + repeat("x", 300) + "\r\n1\r\ny\r\n0\r\n\r\n", repeat("x", 300) + "y", ""},
	} {
		for _, split := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader} {
			got, rest, err := readChunks(split(strings.NewReader(c.in)))
			if err != nil || got != c.want || rest != c.rest {
				t.Errorf("%s: got %q, rest %q, %v", name, got, rest, err)
			}
		}
	}
	for name, in := range map[string]string{
		"no size":              "\r\nhello\r\n0\r\n\r\n",
		"a sign":               "-5\r\nhello\r\n0\r\n\r\n",
		"a prefix":             "0x5\r\nhello\r\n0\r\n\r\n",
		"bare LF after size":   "5\nhello\r\n0\r\n\r\n",
		"bare LF after data":   "5\r\nhello\n0\r\n\r\n",
		"too much data":        "5\r\nhello!\r\n0\r\n\r\n",
		"an enormous size":     "ffffffffffffffff\r\nhello",
		"an endless extension": "5;" + repeat("x", 20<<10) + "\r\nhello\r\n0\r\n\r\n",
		"a bare LF in trailer": "0\r\nA: b\n\r\n",
	} {
		if got, _, err := readChunks(strings.NewReader(in)); !errors.Is(err, errChunks) {
			t.Errorf("%s: got %q, %v, want errChunks", name, got, err)
		}
	}
	for _, in := range []string{"", "5", "5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\n\r"} {
		if _, _, err := readChunks(strings.NewReader(in)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got %v, want io.ErrUnexpectedEOF", in, err)
		}
	}
}

// Data goes on before the CRLF of its chunk has come.
func TestChunkReaderDoesNotWaitForTheEndOfAChunk(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "5\r\nhello") // and no more until it was read
	}()
	var d chunkReader
	if data, err := d.next(bufio.NewReader(r)); string(data) != "hello" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	_ = r.Close()
}

func FuzzChunkReader(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), uint64(1))
	f.Add([]byte("1;x\r\na\r\n0\r\nT: x\r\n\r\nmore"), uint64(2))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, seed))
		got, _, err := readChunks(&ragged{bytes.NewReader(in), rnd})
		want, wantErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		if err == nil && (wantErr != nil || got != string(want)) {
			t.Errorf("read %q where net/http reads %q, %v", got, want, wantErr)
		}
	})
}

// ragged reads pieces of random size.
type ragged struct {
	r   io.Reader
	rnd *rand.Rand
}

func (r *ragged) Read(p []byte) (int, error) {
	return r.r.Read(p[:min(len(p), 1+r.rnd.IntN(9))])
}

func TestFrameChunk(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 15, 16, 255, 4096, 65000} {
		buf := make([]byte, chunkBefore+n+chunkAfter)
		copy(buf[chunkBefore:], repeat("d", n))
		if got, want := string(frameChunk(buf, n)), fmt.Sprintf("%x\r\n%s\r\n", n, repeat("d", n)); got != want {
			t.Errorf("chunk of %d bytes is framed wrongly", n)
		}
	}
}
