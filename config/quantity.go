package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/pursestring/pursestring/internal/budget"
)

// Bytes is a size. It is written with a unit: 512MiB, 10MB, 4096B.
type Bytes int64

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a size such as 512MiB", clip(string(text)))
	}
	*b = Bytes(n)
	return nil
}

// String returns the size in the largest unit that divides it.
func (b Bytes) String() string {
	n := int64(b)
	for _, unit := range []struct {
		name  string
		shift int
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n != 0 && n%(1<<unit.shift) == 0 {
			return strconv.FormatInt(n>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// MarshalText writes what String returns.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Overshoot is how far past the block point the worst case of the calls in
// flight may come. The zero Overshoot is "auto".
type Overshoot struct {
	kind    overshootKind
	percent int          // of the limit
	amount  budget.Money // ≥ 0
}

type overshootKind uint8

const (
	overshootAuto overshootKind = iota
	overshootPercent
	overshootAmount
	overshootUnlimited
)

// What "auto" means: the larger of the two. The floor lets a small budget have a
// few calls in flight at once.
const (
	autoOvershootPercent = 100
	autoOvershootFloor   = 20 * budget.Dollar
	maxOvershootPercent  = 100_000
)

// ParseOvershoot reads auto, unlimited, 0, a percentage such as 50%, or dollars
// such as $20.
func ParseOvershoot(s string) (Overshoot, error) {
	switch s {
	case "auto":
		return Overshoot{}, nil
	case "unlimited":
		return Overshoot{kind: overshootUnlimited}, nil
	case "0":
		return Overshoot{kind: overshootAmount}, nil
	}
	if digits, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.Atoi(digits)
		if err != nil || p < 0 || p > maxOvershootPercent {
			return Overshoot{}, fmt.Errorf("%q is not a whole percentage from 0%% to %d%%", clip(s), maxOvershootPercent)
		}
		return Overshoot{kind: overshootPercent, percent: p}, nil
	}
	if dollars, ok := strings.CutPrefix(s, "$"); ok {
		m, err := budget.ParseUSD(dollars)
		if err != nil || m < 0 {
			return Overshoot{}, fmt.Errorf("%q is not an amount of dollars from $0", clip(s))
		}
		return Overshoot{kind: overshootAmount, amount: m}, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return Overshoot{}, fmt.Errorf("%q has no unit: write %s%% for a share of the limit or $%s for dollars", clip(s), clip(s), clip(s))
	}
	return Overshoot{}, fmt.Errorf("%q is not auto, unlimited, 0, a percentage such as 50%% or dollars such as $20", clip(s))
}

// For returns the overshoot for a limit; budget.MaxMoney when it is unlimited.
func (o Overshoot) For(limit budget.Money) budget.Money {
	switch o.kind {
	case overshootPercent:
		return limit.Percent(o.percent)
	case overshootAmount:
		return o.amount
	case overshootUnlimited:
		return budget.MaxMoney
	case overshootAuto:
	}
	return max(limit.Percent(autoOvershootPercent), autoOvershootFloor)
}

// String returns what ParseOvershoot reads.
func (o Overshoot) String() string {
	switch o.kind {
	case overshootPercent:
		return strconv.Itoa(o.percent) + "%"
	case overshootAmount:
		if o.amount == 0 {
			return "0"
		}
		return "$" + string(o.amount.AppendDecimal(nil))
	case overshootUnlimited:
		return "unlimited"
	case overshootAuto:
	}
	return "auto"
}

// MarshalText writes what String returns.
func (o Overshoot) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what ParseOvershoot reads.
func (o *Overshoot) UnmarshalText(b []byte) (err error) {
	*o, err = ParseOvershoot(string(b))
	return err
}

// parseDollars reads an amount with or without its sign.
func parseDollars(s string) (budget.Money, error) {
	m, err := budget.ParseUSD(strings.TrimPrefix(s, "$"))
	if err != nil {
		return 0, fmt.Errorf("%q is not an amount of dollars such as 500", clip(s))
	}
	return m, nil
}

var errNull = errors.New("is null: give a value, or leave the key out for its default")

// clip keeps a value that was given short enough for one line.
func clip(s string) string {
	const most = 60
	s = strings.ToValidUTF8(s, "�")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
