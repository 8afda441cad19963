package proxy

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// answer is a response of our own.
type answer struct {
	status  int
	headers []field // content-type, x-should-retry, retry-after, x-litellm-call-id, …
	body    []byte
}

// denier writes refusals and errors in the caller's dialect. It is safe for
// concurrent use.
type denier struct {
	hideAmounts bool
	// retryAfter returns the seconds until a retry is due, 1 to 5; nil: random, so
	// that the callers of one burst do not come back as one.
	retryAfter func() int
}

// budget is the answer to a call whose decision was not to let it go: 402, or
// 429 for what is in use, or 503 when nobody could tell. By the call's plan it
// says how to make the call smaller; p may be nil.
func (d *denier) budget(r route, dec *enforce.Decision, p *plan, callID string) answer {
	ref := refusal{reason: dec.Reason, status: &dec.Status, callID: callID}
	switch dec.Reason {
	case budget.TooLarge:
		ref.message = d.tooLarge(r, &ref, p)
	case budget.BudgetInUse:
		ref.retryAfter = d.seconds()
		ref.message = d.inUse(&ref)
	case budget.UpstreamInUse:
		ref.retryAfter = d.seconds()
		ref.message = sentences("LiteLLM has reserved what is left of a limit of its own for calls in flight", retryIn(&ref))
	case budget.UpstreamLimit:
		ref.message = d.upstreamLimit(&ref, nil)
	case budget.OverBlockPoint:
		ref.message = d.over(&ref)
	default:
		return d.trouble(r, 503, "budget_unavailable", "The budget cannot be checked at the moment; the call was not made. Try again.", callID)
	}
	return d.refuse(r, &ref)
}

// upstream is the answer to LiteLLM's own budget refusal: 402 when its limit is
// reached, 429 when only its reservations stand in the way.
func (d *denier) upstream(r route, st *enforce.Status, from budget.UpstreamRefusal, reserved bool, callID string) answer {
	ref := refusal{reason: budget.UpstreamLimit, status: st, callID: callID}
	if reserved {
		ref.reason, ref.retryAfter = budget.UpstreamInUse, d.seconds()
		ref.message = sentences("LiteLLM has reserved what is left of the limit of "+subject(from)+" for calls in flight", retryIn(&ref))
	} else {
		ref.message = d.upstreamLimit(&ref, &from)
	}
	return d.refuse(r, &ref)
}

// handshake is the answer to a WebSocket upgrade that is not let go. Whoever
// opens a socket reads no dialect, so it is OpenAI's.
func (d *denier) handshake(r route, dec *enforce.Decision, p *plan, callID string) answer {
	r.dialect = dialectOpenAI
	return d.budget(r, dec, p, callID)
}

// session ends a WebSocket session whose budget has run out: the payload of a
// text message, and that of the close frame after it, with code 1008.
func (d *denier) session(dec *enforce.Decision, callID string) (event, closing []byte) {
	ref := refusal{reason: dec.Reason, status: &dec.Status, callID: callID}
	ref.message = d.over(&ref)
	facts := d.facts(&ref)
	event = encode(map[string]any{
		"type":   "error",
		"error":  openAIError{Message: ref.message, Type: "budget_exceeded", Code: "budget_exceeded", Budget: facts},
		"budget": facts,
	})
	const policyViolation = 1008
	closing = binary.BigEndian.AppendUint16(nil, policyViolation)
	return event, append(closing, "budget_exceeded"...)
}

// trouble is an error that is no budget refusal; it is never 402.
func (d *denier) trouble(r route, status int, code, message, callID string) answer {
	if status == 402 {
		status = 500
	}
	var body any
	switch r.dialect {
	case dialectAnthropic:
		body = anthropicBody{Type: "error", Error: anthropicError{Type: anthropicType(status), Message: message, Code: code}}
	case dialectGoogle:
		body = googleBody{Error: googleError{
			Code: status, Status: googleStatus(status), Message: message,
			Details: []any{errorInfo{Type: typeErrorInfo, Reason: strings.ToUpper(code), Domain: domain}},
		}}
	case dialectOpenAI:
		kind := "invalid_request_error"
		if status >= 500 {
			kind = "api_error"
		}
		body = openAIBody{Error: openAIError{Message: message, Type: kind, Code: code}}
	}
	return newAnswer(status, encode(body), callID)
}

// refusal is what a refused caller is told, before it is put into a dialect.
type refusal struct {
	reason     budget.Reason
	status     *enforce.Status
	callID     string
	message    string
	retryAfter int // seconds; 0: do not retry

	worst, left *budget.Money // too_large_for_remaining
	maxTokens   int64         // that would fit; 0: none
}

func (d *denier) refuse(r route, ref *refusal) answer {
	status, code := 402, "budget_exceeded"
	if ref.retryAfter > 0 {
		status, code = 429, string(ref.reason)
	}
	facts := d.facts(ref)
	var body any
	switch r.dialect {
	case dialectAnthropic:
		kind := "billing_error"
		if status == 429 {
			kind = "rate_limit_error"
		}
		body = anthropicBody{Type: "error", Error: anthropicError{Type: kind, Message: ref.message}, Budget: facts}
	case dialectGoogle:
		body = googleBody{Error: googleRefusal(status, code, ref), Budget: facts}
	case dialectOpenAI:
		body = openAIBody{Error: openAIError{Message: ref.message, Type: code, Code: code, Budget: facts}, Budget: facts}
	}
	a := newAnswer(status, encode(body), ref.callID)
	if ref.retryAfter > 0 {
		a.add("retry-after", strconv.Itoa(ref.retryAfter))
	}
	a.add("x-should-retry", strconv.FormatBool(ref.retryAfter > 0))
	return a
}

func googleRefusal(status int, code string, ref *refusal) googleError {
	e := googleError{
		Code: status, Status: "FAILED_PRECONDITION", Message: ref.message,
		Details: []any{errorInfo{
			Type: typeErrorInfo, Reason: strings.ToUpper(code), Domain: domain,
			Metadata: map[string]string{"tenant_id": ref.status.TenantID, "reason": string(ref.reason)},
		}},
	}
	if status == 429 {
		e.Status = "RESOURCE_EXHAUSTED"
		e.Details = append(e.Details, retryInfo{Type: typeRetryInfo, Delay: strconv.Itoa(ref.retryAfter) + "s"})
	}
	return e
}

func (d *denier) seconds() int {
	if d.retryAfter != nil {
		return d.retryAfter()
	}
	return 1 + rand.IntN(5)
}

// facts is the budget member of all refusals.
func (d *denier) facts(ref *refusal) *budgetFacts {
	st := ref.status
	f := &budgetFacts{
		TenantID: st.TenantID, State: st.State, Reason: ref.reason, GraceThreshold: st.GraceThreshold,
		CallID: ref.callID, RetryAfter: ref.retryAfter, MaxTokens: ref.maxTokens,
	}
	if !d.hideAmounts {
		f.Spend, f.Limit, f.Block = &st.Spent, &st.Points.Limit, &st.Points.Block
		f.Worst, f.Left = ref.worst, ref.left
		if ref.reason == budget.BudgetInUse {
			f.Held = &st.Held
		}
	}
	wait := ""
	if end := st.Window.End; !end.IsZero() {
		f.ResetsAt = end.UTC().Format(time.RFC3339)
		wait = ", or wait for the reset on " + end.UTC().Format(time.DateOnly)
	}
	if ref.retryAfter == 0 {
		f.Remediation = "Contact your administrator to increase the budget" + wait + "."
	} else {
		f.Remediation = "Retry: money is left once the calls in flight have settled."
	}
	return f
}

type budgetFacts struct {
	TenantID       string        `json:"tenant_id"`
	State          budget.State  `json:"state"`
	Reason         budget.Reason `json:"reason"`
	Spend          *budget.Money `json:"spend_usd,omitempty"`
	Limit          *budget.Money `json:"limit_usd,omitempty"`
	Block          *budget.Money `json:"block_usd,omitempty"`
	Held           *budget.Money `json:"held_usd,omitempty"`
	Worst          *budget.Money `json:"worst_usd,omitempty"`
	Left           *budget.Money `json:"left_usd,omitempty"`
	MaxTokens      int64         `json:"max_tokens_that_fit,omitempty"`
	GraceThreshold int           `json:"grace_threshold"`
	ResetsAt       string        `json:"resets_at,omitempty"`
	RetryAfter     int           `json:"retry_after_seconds,omitempty"`
	CallID         string        `json:"call_id"`
	Remediation    string        `json:"remediation"`
}

func newAnswer(status int, body []byte, callID string) answer {
	a := answer{status: status, body: body}
	a.add("content-type", "application/json")
	if callID != "" {
		a.add("x-litellm-call-id", callID)
	}
	return a
}

func (a *answer) add(name, value string) {
	a.headers = append(a.headers, field{name: []byte(name), value: []byte(value)})
}

// encode writes JSON without HTML escapes.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: " + err.Error()) // plain values only
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
