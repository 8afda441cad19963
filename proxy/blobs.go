package proxy

import "bytes"

// leastBlob is from where on a string can be a blob.
const leastBlob = 1024

func (s *scanner) countBlob(text []byte, cut bool) {
	if len(text) < leastBlob || isProse(s.name) {
		return
	}
	image, ok := blobKind(text)
	if !ok {
		return
	}
	s.blobs += int64(len(text))
	if s.f.inBlob = cut; image {
		s.f.images++
		return
	}
	s.f.otherBlobs++
	s.f.blobBytes += int64(len(text))
}

// isProse names members whose strings a model reads word by word, whatever is in
// them.
func isProse(name []byte) bool {
	for _, n := range [...]string{"content", "text", "input", "prompt", "system", "instructions", "arguments", "output"} {
		if nameIs(name, n) {
			return true
		}
	}
	return false
}

// magics are how files begin in base64, without a data: URL around them.
var magics = [...]struct {
	begin string
	image bool
}{
	{"iVBORw0KGgo", true}, {"/9j/", true}, {"R0lGOD", true}, {"UklGR", true}, // PNG, JPEG, GIF, WebP (and WAV)
	{"JVBERi0", false}, {"SUQz", false}, {"//u", false}, {"T2dnUw", false}, {"ZkxhQ", false}, {"UEsDB", false}, // PDF, MP3, Ogg, FLAC, Office
}

// blobKind reports whether a long string is a file in base64: a data: URL, or
// one that begins as such files do.
func blobKind(text []byte) (image, blob bool) {
	if rest, ok := bytes.CutPrefix(text, []byte("data:")); ok {
		head := rest[:min(len(rest), 200)]
		comma := bytes.Index(head, []byte(";base64,"))
		return bytes.HasPrefix(rest, []byte("image/")), comma >= 0 && isBase64(rest[comma+len(";base64,"):])
	}
	for i := range magics {
		if bytes.HasPrefix(text, []byte(magics[i].begin)) {
			return magics[i].image, isBase64(text)
		}
	}
	return false, false
}

// isBase64 looks at samples only: the scan has passed the string once already,
// and images are long.
func isBase64(text []byte) bool {
	const sample, samples = 256, 16
	step := max(len(text)/samples, sample)
	for at := 0; at < len(text); at += step {
		for _, c := range text[at:min(at+sample, len(text))] {
			if !base64Byte[c] {
				return false
			}
		}
	}
	return true
}

// base64Byte holds both alphabets, padding, and the backslash of "\/" and "\n".
var base64Byte = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\\") {
		t[c] = true
	}
	return t
}()
