package budget

import "testing"

func TestPointsAndState(t *testing.T) {
	t.Parallel()
	limit := 500 * Dollar
	r := Record{Tenant: Tenant{MaxBudget: &limit, AlertThreshold: 80, GraceThreshold: 110}}
	now := at("2026-11-24")
	p := r.PointsAt(now)
	if p.Limit != 500*Dollar || p.Alert != 400*Dollar || p.Block != 550*Dollar || p.Unlimited {
		t.Errorf("$500 at 80 and 110 %%: %+v", p)
	}
	for spent, want := range map[Money]State{
		0: StateOK, 400*Dollar - 1: StateOK, 400 * Dollar: StateWarning, 500*Dollar - 1: StateWarning,
		500 * Dollar: StateGrace, 550*Dollar - 1: StateGrace, 550 * Dollar: StateBlocked,
	} {
		if got := p.State(spent); got != want {
			t.Errorf("at %v the state is %s, want %s", spent, got, want)
		}
	}
	r.Override = &Override{Amount: 100 * Dollar, StartsAt: at("2026-11-20"), ExpiresAt: at("2026-11-25")}
	if p := r.PointsAt(now); p.Limit != 600*Dollar || p.Block != 660*Dollar {
		t.Errorf("with an override of $100: %+v", p)
	}
	if p := r.PointsAt(at("2026-11-25")); p.Limit != 500*Dollar {
		t.Errorf("at its end the override is over: %+v", p)
	}
	r.Override.RevokedAt = now
	if p := r.PointsAt(now); p.Limit != 500*Dollar {
		t.Errorf("a revoked override counts: %+v", p)
	}
	r.Override = &Override{DisableEnforcement: true, StartsAt: at("2026-11-20"), ExpiresAt: at("2026-11-25")}
	if p := r.PointsAt(now); !p.Unlimited || p.State(1000*Dollar) != StateGrace {
		t.Errorf("enforcement switched off: %+v, %s", p, p.State(1000*Dollar))
	}
	r.MaxBudget = nil
	if p := r.PointsAt(now); !p.Unlimited || p.State(MaxMoney) != StateOK {
		t.Errorf("no max_budget: %+v", p)
	}
}

func TestKeyHash(t *testing.T) {
	t.Parallel()
	const want = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b" // LiteLLM's own for this key
	h := HashKey([]byte("sk-1234"))
	if h.String() != want {
		t.Errorf("sk-1234 hashes to %s", h)
	}
	back, err := ParseKeyHash(want)
	if err != nil || back != h {
		t.Errorf("read back as %s, %v", back, err)
	}
	for _, bad := range []string{"", "sk-1234", want[:63], want + "0", "zz" + want[2:]} {
		if _, err := ParseKeyHash(bad); err == nil {
			t.Errorf("%q was read as a hash", bad)
		}
	}
}
