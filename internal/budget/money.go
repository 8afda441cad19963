package budget

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Money is an amount of US dollars in nano-dollars (10⁻⁹ $).
//
// One token can cost 5 nano-dollars, so anything coarser would make small calls
// free. Every operation saturates at ±MaxMoney (about 9.2 billion dollars)
// instead of wrapping: a full purse is wrong by some dollars, a wrapped one by
// all of them.
type Money int64

// Units of Money, and its bound.
const (
	NanoDollar Money = 1
	Cent       Money = 10_000_000
	Dollar     Money = 1_000_000_000
	MaxMoney   Money = math.MaxInt64
)

// USD converts dollars to Money, rounding to the nearest nano-dollar, halves
// away from zero. It reports false for NaN and infinities; what does not fit
// saturates.
func USD(dollars float64) (Money, bool) {
	if math.IsNaN(dollars) || math.IsInf(dollars, 0) {
		return 0, false
	}
	return saturate(math.Round(dollars * float64(Dollar))), true
}

// USDUp converts dollars to Money, rounding up: for risk and worst cases, which
// must not be understated. NaN counts as the largest amount, for the same reason.
func USDUp(dollars float64) Money {
	if math.IsNaN(dollars) {
		return MaxMoney
	}
	return saturate(math.Ceil(dollars * float64(Dollar)))
}

// ParseUSD reads a decimal number of dollars such as "0.042" or "2.85e-05", the
// form of LiteLLM's cost headers.
func ParseUSD(s string) (Money, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("amount %q is not a number of dollars", clip(s))
	}
	m, ok := USD(f)
	if !ok {
		return 0, fmt.Errorf("amount %q is not a finite number of dollars", clip(s))
	}
	return m, nil
}

func saturate(nano float64) Money {
	// float64(MaxInt64) rounds up to 2⁶³, which int64 cannot hold.
	if nano >= float64(math.MaxInt64) {
		return MaxMoney
	}
	if nano <= -float64(math.MaxInt64) {
		return -MaxMoney
	}
	return Money(nano)
}

// Add returns m + n, saturating.
func (m Money) Add(n Money) Money {
	s := m + n
	switch {
	case n > 0 && s < m:
		return MaxMoney
	case n < 0 && s > m, s < -MaxMoney:
		return -MaxMoney
	}
	return s
}

// Sub returns m − n, saturating.
func (m Money) Sub(n Money) Money {
	if n < -MaxMoney {
		n = -MaxMoney
	}
	return m.Add(-n)
}

// Percent returns p percent of m, rounded to nearest, saturating. p is in
// percent and not negative.
func (m Money) Percent(p int) Money {
	// Whole and rest apart, so that the product cannot overflow before the
	// division for any amount below MaxMoney/p.
	whole, rest := m/100, m%100
	if whole != 0 && p != 0 {
		product := whole * Money(p)
		if product/Money(p) != whole {
			if m < 0 {
				return -MaxMoney
			}
			return MaxMoney
		}
	}
	half := Money(50)
	if m < 0 {
		half = -50
	}
	return (whole * Money(p)).Add((rest*Money(p) + half) / 100)
}

// Float returns m in dollars, for JSON and metrics only.
func (m Money) Float() float64 { return float64(m) / float64(Dollar) }

// String returns m as people read it, rounded to the cent: "$551.20".
func (m Money) String() string {
	sign := ""
	u := uint64(m)
	if m < 0 {
		sign, u = "-", -u
	}
	cents := (u + uint64(Cent)/2) / uint64(Cent)
	if cents == 0 {
		sign = ""
	}
	return fmt.Sprintf("%s$%d.%02d", sign, cents/100, cents%100)
}

// AppendDecimal appends m in dollars with up to nine decimals and no exponent
// ("551.2", "0.000214"), for headers and JSON, without allocating.
func (m Money) AppendDecimal(b []byte) []byte {
	u := uint64(m)
	if m < 0 {
		b, u = append(b, '-'), -u
	}
	b = strconv.AppendUint(b, u/uint64(Dollar), 10)
	rest := u % uint64(Dollar)
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for div := uint64(Dollar) / 10; rest != 0; div /= 10 {
		b = append(b, byte('0'+rest/div))
		rest %= div
	}
	return b
}

// MarshalJSON writes m as a number of dollars.
func (m Money) MarshalJSON() ([]byte, error) { return m.AppendDecimal(nil), nil }

// UnmarshalJSON reads a number of dollars.
func (m *Money) UnmarshalJSON(b []byte) error {
	v, err := ParseUSD(string(b))
	if err != nil {
		return err
	}
	*m = v
	return nil
}

func clip(s string) string {
	const most = 40
	s = strings.ToValidUTF8(s, "�")
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
