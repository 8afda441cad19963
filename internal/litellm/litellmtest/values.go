package litellmtest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// hashOf takes a credential or a hash.
func hashOf(s string) budget.KeyHash {
	if h, err := budget.ParseKeyHash(s); err == nil {
		return h
	}
	return budget.HashKey([]byte(s))
}

func floatOf(m *budget.Money) *float64 {
	if m == nil {
		return nil
	}
	f := m.Float()
	return &f
}

func moneyOf(raw json.RawMessage) *budget.Money {
	var f *float64
	if json.Unmarshal(raw, &f) != nil || f == nil {
		return nil
	}
	m, ok := budget.USD(*f)
	if !ok {
		return nil
	}
	return &m
}

func textOf(raw json.RawMessage) string {
	var t string
	_ = json.Unmarshal(raw, &t)
	return t
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func stamp(t time.Time, zone string) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000") + zone
}

func instantOrNull(t time.Time, zone string) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t, zone)
}

func secondsOrNull(t time.Time, zone string) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05") + zone
}

func find(o object, name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func intOr(s string, or int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return or
	}
	return n
}

func roundTo(f, unit float64) float64 { return math.Round(f/unit) / math.Round(1/unit) }

func (s *Server) uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
