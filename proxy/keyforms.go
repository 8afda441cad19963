package proxy

import (
	"bytes"
	"encoding/base64"
)

// key returns the key that a value holds, or nil.
func (f form) key(value []byte) []byte {
	switch f {
	case bearer:
		key, _ := schemeKey(value)
		return key
	case bearerOrRaw:
		if key, ok := schemeKey(value); ok {
			return key
		}
		return value
	case bearerTwice:
		return removeAll(bearerOrRaw.key(value), "Bearer ")
	case afterBearer:
		return removeAll(value, "Bearer ")
	case bearerOnly:
		if rest, ok := bytes.CutPrefix(value, []byte("Bearer ")); ok {
			return removeAll(bytes.TrimSpace(rest), "Bearer ")
		}
		return nil
	case basicPassword:
		return basicKey(value)
	case subprotocol:
		return subprotocolKey(value)
	case raw:
	}
	return value
}

// schemeKey reads LiteLLM's schemes; false: none of them.
func schemeKey(value []byte) ([]byte, bool) {
	for _, scheme := range [...]string{"Bearer ", "Basic ", "bearer "} {
		if bytes.HasPrefix(value, []byte(scheme)) {
			return removeAll(value, scheme), true
		}
	}
	if bytes.HasPrefix(value, []byte("AWS4-HMAC-SHA256")) {
		return awsKey(value)
	}
	return nil, false
}

// removeAll is LiteLLM's replace-all of a scheme, by which "Bearer Bearer k" is
// k. It allocates only for such values.
func removeAll(value []byte, scheme string) []byte {
	value, _ = bytes.CutPrefix(value, []byte(scheme))
	if bytes.Contains(value, []byte(scheme)) {
		return bytes.ReplaceAll(value, []byte(scheme), nil)
	}
	return value
}

// awsKey reads Credential=[Bearer ]k up to a slash, a comma or a blank.
func awsKey(value []byte) ([]byte, bool) {
	const label = "Credential="
	for _, prefix := range [...]string{label + "Bearer", label} {
		for rest := value; ; {
			i := bytes.Index(rest, []byte(prefix))
			if i < 0 {
				break
			}
			rest = rest[i+len(prefix):]
			key := rest
			if prefix != label {
				if key = bytes.TrimLeft(rest, awsBlanks); len(key) == len(rest) {
					continue
				}
			}
			if end := bytes.IndexAny(key, "/,"+awsBlanks); end >= 0 {
				key = key[:end]
			}
			if len(key) > 0 {
				return key, true
			}
		}
	}
	return nil, false
}

const awsBlanks = " \t\n\v\f\r"

// basicKey reads the part after the colon; what follows a second colon is no
// part of it.
func basicKey(value []byte) []byte {
	value = removeAll(value, "Basic ")
	plain := make([]byte, base64.StdEncoding.DecodedLen(len(value)))
	n, err := base64.StdEncoding.Decode(plain, value)
	if err != nil {
		return nil
	}
	_, key, ok := bytes.Cut(plain[:n], []byte(":"))
	if !ok {
		return nil
	}
	key, _, _ = bytes.Cut(key, []byte(":"))
	return removeAll(key, "Bearer ")
}

func subprotocolKey(value []byte) []byte {
	for protocol := range bytes.SplitSeq(value, []byte(",")) {
		if key, ok := bytes.CutPrefix(bytes.TrimSpace(protocol), []byte("openai-insecure-api-key.")); ok {
			return removeAll(key, "Bearer ")
		}
	}
	return nil
}
