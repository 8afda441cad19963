package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

const (
	webhookPath = "/api/v1/budget-alerts"
	// webhookQueue holds what arrives while the store is slow. LiteLLM sends one
	// event per refusal: 499 within a second were seen.
	webhookQueue = 4096
	// mostDetail bounds what is kept of an event.
	mostDetail = 4 << 10
	// mostBroken is kept of a body that is no event; as JSON text it is at most
	// six times as long.
	mostBroken = 600
	// recordTimeout bounds one try to record an event.
	recordTimeout = 5 * time.Second
	// drainTimeout bounds what Run still records after its context has ended.
	drainTimeout = 3 * time.Second
)

// recordPauses are the waits before an event is tried again.
var recordPauses = []time.Duration{200 * time.Millisecond, time.Second}

// WebhookStore is what recording an event needs.
type WebhookStore interface {
	Record(ctx context.Context, tenantID string, now time.Time) (budget.Record, error)
	RecordByKey(ctx context.Context, hash budget.KeyHash, now time.Time) (budget.Record, error)
	RecordAlert(ctx context.Context, e budget.AlertEvent) error
}

// WebhookOptions are what the webhook is made of. Store, Metrics and Log must be
// set; without a token and a secret every webhook is refused.
type WebhookOptions struct {
	Token      config.Secret // admin.webhook_token
	HMACSecret config.Secret // admin.webhook_hmac_secret
	Store      WebhookStore
	Metrics    *Metrics
	Log        *slog.Logger
	Now        func() time.Time // nil: time.Now
}

// Webhook takes LiteLLM's budget events. It answers before it works, since
// LiteLLM repeats an event with every call until somebody has said 200; and it
// only informs: no event changes a budget.
type Webhook struct {
	token, secret config.Secret
	store         WebhookStore
	metrics       *Metrics
	log           *slog.Logger
	now           func() time.Time
	queue         chan arrival
}

// arrival is an authentic event that waits to be recorded.
type arrival struct {
	event budget.AlertEvent
	// tenantID is a tenant that the event is about, if there is one of that name;
	// of an event about a key it is found by the hash.
	tenantID string
}

// NewWebhook returns the webhook of o; Run must run for anything to be recorded.
func NewWebhook(o WebhookOptions) *Webhook {
	h := &Webhook{
		token: o.Token, secret: o.HMACSecret, store: o.Store, metrics: o.Metrics, log: o.Log, now: o.Now,
		queue: make(chan arrival, webhookQueue),
	}
	if h.now == nil {
		h.now = time.Now
	}
	return h
}

func (h *Webhook) register(mux *http.ServeMux, api *huma.OpenAPI) {
	mux.Handle("POST "+webhookPath, h)
	mux.Handle("POST "+webhookPath+"/{token}", h)
	op := describe(api, http.MethodPost, webhookPath, "budget-alerts", "webhook", "LiteLLM's budget webhook")
	op.Description = "Authenticated by ?token=, by the path /api/v1/budget-alerts/{token}, or by X-Signature-256: sha256=HMAC of the body. " +
		"An authentic event is always answered with 200, whatever its body; it informs and changes no budget."
	op.Responses["401"] = &huma.Response{Description: http.StatusText(http.StatusUnauthorized)}
}

// ServeHTTP answers one webhook.
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	byToken := sameSecret(r.PathValue("token"), h.token) || sameSecret(r.URL.Query().Get("token"), h.token)
	signature := r.Header.Get("X-Signature-256")
	if !byToken && signature == "" {
		h.refuse(w) // without reading the body of a stranger
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
	if !byToken && (err != nil || !h.signed(body, signature)) {
		h.refuse(w)
		return
	}
	h.accept(body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{\"status\":\"ok\"}\n") // LiteLLM does not read it
}

func (h *Webhook) refuse(w http.ResponseWriter) {
	h.metrics.webhookRejected.Inc()
	writeProblem(w, http.StatusUnauthorized, "the webhook is not authenticated: put the token of admin.webhook_token into LiteLLM's WEBHOOK_URL, …/api/v1/budget-alerts/TOKEN, or sign the body with admin.webhook_hmac_secret")
}

func (h *Webhook) signed(body []byte, signature string) bool {
	digits, ok := strings.CutPrefix(signature, "sha256=")
	if !ok || !h.secret.IsSet() {
		return false
	}
	presented, err := hex.DecodeString(digits)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(h.secret.Reveal()))
	mac.Write(body)
	return hmac.Equal(presented, mac.Sum(nil))
}

// accept counts an authentic event and queues it; a full queue drops it.
func (h *Webhook) accept(body []byte) {
	at := h.now().UTC()
	h.metrics.webhookLast.Set(float64(at.UnixMilli()) / 1000)
	a, label := read(body)
	a.event.At = at
	h.metrics.webhookEvents.WithLabelValues(label).Inc()
	select {
	case h.queue <- a:
	default:
		h.metrics.webhookDropped.Inc()
	}
}

// read takes an event apart, and says what it is counted as.
func read(body []byte) (a arrival, label string) {
	e, err := litellm.ParseWebhook(body)
	if err != nil {
		return arrival{event: budget.AlertEvent{Source: "litellm", Type: unparsableEvent, Detail: broken(body)}}, unparsableEvent
	}
	a = arrival{event: budget.AlertEvent{
		Source: "litellm", Type: e.Event, Group: e.Group, KeyHash: e.KeyHash, Subject: e.Subject,
		SpendUSD: asFloat(e.Spend), MaxUSD: asFloat(e.MaxBudget), Projected: e.Projected, Detail: detail(body),
	}}
	if e.Group == "team" || e.Group == "user" {
		a.tenantID = e.Subject
	}
	if !slices.Contains(webhookEvents, e.Event) {
		return a, otherEvent
	}
	return a, e.Event
}

func asFloat(m *budget.Money) *float64 {
	if m == nil {
		return nil
	}
	f := m.Float()
	return &f
}

// keyShape finds virtual keys, which no event should hold, in those that do.
var keyShape = regexp.MustCompile(`sk-[A-Za-z0-9_-]{6,}`)

func withoutKeys(b []byte) []byte { return keyShape.ReplaceAll(b, []byte("sk-[redacted]")) }

// detail is an event as it came, if it is short enough to keep.
func detail(body []byte) []byte {
	kept := withoutKeys(body)
	if len(kept) > mostDetail {
		return broken(body)
	}
	return kept
}

// broken is the beginning of a body, as a JSON text.
func broken(body []byte) []byte {
	text, err := json.Marshal(clip(string(withoutKeys(body)), mostBroken))
	if err != nil {
		return nil
	}
	return text
}

// Run records events until ctx ends, and then, for a moment, those that wait.
func (h *Webhook) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, stop) })
	defer ended()
	for {
		select {
		case a := <-h.queue:
			h.record(work, a)
		case <-ctx.Done():
			h.drain(work)
			return nil
		}
	}
}

func (h *Webhook) drain(ctx context.Context) {
	for {
		select {
		case a := <-h.queue:
			h.record(ctx, a)
		default:
			return
		}
	}
}

// record writes an event down, and tries again for a moment when it cannot.
func (h *Webhook) record(ctx context.Context, a arrival) {
	for try := 0; ; try++ {
		err := h.recordOnce(ctx, a)
		if err == nil {
			return
		}
		if try == len(recordPauses) || !pause(ctx, recordPauses[try]) {
			h.metrics.webhookFailed.Inc()
			h.log.Error("webhook not recorded", "event", a.event.Type, "err", err)
			return
		}
	}
}

func (h *Webhook) recordOnce(ctx context.Context, a arrival) error {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	switch r, err := h.tenant(ctx, a); {
	case err == nil:
		a.event.TenantID = r.ID
		a.event.WindowHint = r.Window.At(a.event.At, r.Rule).Number
	case !errors.Is(err, budget.ErrNotFound):
		return err
	}
	return h.store.RecordAlert(ctx, a.event)
}

// tenant finds whom an event is about.
func (h *Webhook) tenant(ctx context.Context, a arrival) (budget.Record, error) {
	switch {
	case a.event.KeyHash != nil:
		return h.store.RecordByKey(ctx, *a.event.KeyHash, a.event.At)
	case a.tenantID != "":
		return h.store.Record(ctx, a.tenantID, a.event.At)
	}
	return budget.Record{}, budget.ErrNotFound
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
