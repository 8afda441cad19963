package budget

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestUSDRoundsToNearest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   float64
		want Money
	}{
		{0, 0}, {0.042, 42_000_000}, {2.85e-05, 28_500}, {0.005300900000000001, 5_300_900},
		{1e-9, 1}, {4e-10, 0}, {5e-10, 1}, {-5e-10, -1}, {551.2, 551_200_000_000},
		{1e300, MaxMoney}, {-1e300, -MaxMoney}, {9223372036.854775807, MaxMoney},
	} {
		if got, ok := USD(c.in); !ok || got != c.want {
			t.Errorf("USD(%v) = %d, %v, want %d", c.in, got, ok, c.want)
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, ok := USD(bad); ok {
			t.Errorf("USD(%v) was taken", bad)
		}
	}
	if USDUp(1e-12) != 1 || USDUp(math.NaN()) != MaxMoney || USDUp(math.Inf(1)) != MaxMoney {
		t.Error("risk must round up")
	}
}

func TestMoneyString(t *testing.T) {
	t.Parallel()
	for in, want := range map[Money]string{
		0: "$0.00", 551_200_000_000: "$551.20", 4_999_999: "$0.00", 5_000_000: "$0.01",
		-5_000_000: "-$0.01", -1: "$0.00", 999_995_000_000: "$1000.00", MaxMoney: "$9223372036.85",
	} {
		if got := in.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(in), got, want)
		}
	}
}

func TestMoneyJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[Money]string{
		0: "0", 551_200_000_000: "551.2", 214_000: "0.000214", 1: "0.000000001", -1_500_000_000: "-1.5",
	} {
		b, err := json.Marshal(in)
		if err != nil || string(b) != want {
			t.Errorf("%d is %s in JSON (%v), want %s", int64(in), b, err, want)
		}
		var back Money
		if err := json.Unmarshal(b, &back); err != nil || back != in {
			t.Errorf("%s read back as %d (%v)", b, back, err)
		}
	}
	for _, bad := range []string{`"x"`, `"5"`, `NaN`, `{}`} {
		if err := new(Money).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s was read as money", bad)
		}
	}
}

func TestMoneyArithmeticSaturates(t *testing.T) {
	t.Parallel()
	edge := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, -math.MaxInt64, math.MinInt64 + 1}))
	clamp := func(x *big.Int) Money {
		if x.Cmp(big.NewInt(math.MaxInt64)) > 0 {
			return MaxMoney
		}
		if x.Cmp(big.NewInt(-math.MaxInt64)) < 0 {
			return -MaxMoney
		}
		return Money(x.Int64())
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := Money(max(-math.MaxInt64, edge.Draw(t, "a"))), Money(max(-math.MaxInt64, edge.Draw(t, "b")))
		if got, want := a.Add(b), clamp(new(big.Int).Add(big.NewInt(int64(a)), big.NewInt(int64(b)))); got != want {
			t.Fatalf("%d + %d = %d, want %d", a, b, got, want)
		}
		if got, want := a.Sub(b), clamp(new(big.Int).Sub(big.NewInt(int64(a)), big.NewInt(int64(b)))); got != want {
			t.Fatalf("%d - %d = %d, want %d", a, b, got, want)
		}
		p := rapid.IntRange(0, 200).Draw(t, "p")
		exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(int64(p))), big.NewInt(100))
		diff := new(big.Rat).Sub(exact, new(big.Rat).SetInt64(int64(a.Percent(p))))
		if diff.Abs(diff); diff.Cmp(big.NewRat(1, 2)) > 0 && a.Percent(p) != MaxMoney && a.Percent(p) != -MaxMoney {
			t.Fatalf("%d %% of %d = %d is off by %v", p, a, a.Percent(p), diff)
		}
	})
	if got := (500 * Dollar).Percent(110); got != 550*Dollar {
		t.Errorf("110 %% of $500 is %v", got)
	}
}

func TestAppendDecimalDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 32)
	if n := testing.AllocsPerRun(100, func() { buf = Money(551_234_567_891).AppendDecimal(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
