package proxy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

func (d *denier) over(ref *refusal) string {
	amounts := ""
	if !d.hideAmounts {
		amounts = fmt.Sprintf("Current: %s, Limit: %s", ref.status.Spent, ref.status.Points.Limit)
	}
	return sentences("Budget exceeded for "+owner(ref.status), amounts, "Contact admin to increase budget", resets(ref.status), reference(ref))
}

func (d *denier) tooLarge(r route, ref *refusal, p *plan) string {
	first, advice := "This call could cost more than what is left of the budget", ""
	left := ref.status.Remaining()
	if p != nil {
		advice = "Send a shorter prompt"
		if ref.maxTokens = p.fittingOutput(left); ref.maxTokens > 0 {
			advice = fmt.Sprintf("Lower %s to %s or less", capName(r), thousands(ref.maxTokens))
		}
		if !d.hideAmounts {
			ref.worst, ref.left = &p.estimate.Worst, &left
			first = fmt.Sprintf("This call could cost up to %s; %s is left", dollars(p.estimate.Worst, left), dollars(left, p.estimate.Worst))
		}
	}
	return sentences(first, advice, resets(ref.status), reference(ref))
}

func (d *denier) inUse(ref *refusal) string {
	amounts := ""
	if !d.hideAmounts {
		amounts = fmt.Sprintf("Current: %s, calls in flight: %d for up to %s, Limit: %s",
			ref.status.Spent, ref.status.InFlight, ref.status.Held, ref.status.Points.Limit)
	}
	return sentences("The budget of "+owner(ref.status)+" is in use by calls in flight", amounts, retryIn(ref))
}

func (d *denier) upstreamLimit(ref *refusal, from *budget.UpstreamRefusal) string {
	whose := "a limit that LiteLLM keeps"
	if from != nil {
		whose = "the limit that LiteLLM keeps for " + subject(*from)
		if from.Max != nil && !d.hideAmounts {
			whose += " (" + from.Max.String() + ")"
		}
	}
	return sentences("Budget exceeded: "+whose+" is reached", "Contact admin to increase budget", reference(ref))
}

func subject(from budget.UpstreamRefusal) string {
	what := strings.ReplaceAll(from.Subject, "_", " ")
	switch {
	case what == "":
		return "this call"
	case from.ID == "" || strings.HasPrefix(from.Subject, "key"):
		return "this " + what
	}
	return what + " " + from.ID
}

func owner(st *enforce.Status) string {
	if st.TenantID == "" || strings.HasPrefix(st.TenantID, "key:") {
		return "this key"
	}
	return "tenant " + st.TenantID
}

func resets(st *enforce.Status) string {
	if st.Window.End.IsZero() {
		return ""
	}
	return "Resets " + st.Window.End.UTC().Format("2006-01-02 15:04") + " UTC"
}

func reference(ref *refusal) string {
	if ref.callID == "" {
		return ""
	}
	return "Ref " + ref.callID
}

func retryIn(ref *refusal) string { return fmt.Sprintf("Retry in %d s", ref.retryAfter) }

// sentences joins those that are not empty.
func sentences(all ...string) string {
	var b strings.Builder
	for _, s := range all {
		switch {
		case s == "":
			continue
		case b.Len() > 0:
			b.WriteByte(' ')
		}
		b.WriteString(s)
		// A reference is for copying: no full stop that could be taken for a part.
		if !strings.HasPrefix(s, "Ref ") {
			b.WriteByte('.')
		}
	}
	return b.String()
}

// dollars writes an amount to the cent, or in full where it would look the same
// as the one it is compared with.
func dollars(m, other budget.Money) string {
	if m.String() != other.String() {
		return m.String()
	}
	return "$" + string(m.AppendDecimal(nil))
}

func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// capName is what the route calls the cap on output tokens.
func capName(r route) string {
	switch r.family {
	case familyResponses:
		return "max_output_tokens"
	case familyGenerateContent:
		return "maxOutputTokens"
	default:
		return "max_tokens"
	}
}

// fittingOutput is the largest cap on output tokens with which the call costs at
// most left, rounded down to what people type; 0: none would do.
func (p *plan) fittingOutput(left budget.Money) int64 {
	room := left.Sub(p.inputWorst).Float()
	if room <= 0 || p.outputPrice <= 0 {
		return 0
	}
	n := int64(min(room/p.outputPrice, outputTokensWorst*64))
	if n > 1000 {
		n -= n % 100
	}
	return n
}
