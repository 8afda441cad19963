package litellm

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// How often prices are read. What a caller's credential may see is read at most
// once a minute, whoever offers.
const (
	pricesEvery   = 5 * time.Minute
	pricesRetry   = 2 * time.Second
	offerCooldown = time.Minute
)

// Refresher keeps Prices fresh. It works with the master key; without one it
// reads the public price list, and the deployments on the authority of callers
// whose credential is offered.
type Refresher struct {
	client *Client
	prices *Prices
	log    *slog.Logger
	now    func() time.Time
	offers chan string

	mu          sync.Mutex
	deployments map[string]Deployment // by id; seen with any credential
	costMap     CostMap
	offeredAt   time.Time
}

// NewRefresher returns a refresher that runs with Run.
func NewRefresher(client *Client, prices *Prices, log *slog.Logger) *Refresher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Refresher{
		client: client, prices: prices, log: log, now: time.Now,
		offers: make(chan string, 1), deployments: map[string]Deployment{},
	}
}

// Run loads prices at once and every five minutes, sooner while that fails, until
// ctx ends. It returns nil then.
func (r *Refresher) Run(ctx context.Context) error {
	wait := pricesRetry
	for {
		next := pricesEvery
		if err := r.Refresh(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			next, wait = wait, min(2*wait, pricesEvery)
			r.log.Warn("prices not loaded, the last ones stay", "err", err, "again_in", next.String())
		} else {
			wait = pricesRetry
		}
		if !r.wait(ctx, next) {
			return nil
		}
	}
}

// wait serves offers until the time is over. It reports false when ctx ended.
func (r *Refresher) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case credential := <-r.offers:
			if err := r.readWith(ctx, credential); err != nil && ctx.Err() == nil {
				r.log.Info("deployments not read with a caller's key", "err", err)
			}
		}
	}
}

// Offer lets the refresher read deployments on the authority of a credential that
// LiteLLM has accepted, when it has no master key. It never blocks, and keeps the
// credential only until the read that it is taken for.
func (r *Refresher) Offer(credential string) {
	if r.client.HasMasterKey() || credential == "" {
		return
	}
	r.mu.Lock()
	now := r.now()
	due := r.offeredAt.IsZero() || now.Sub(r.offeredAt) >= offerCooldown
	if due {
		r.offeredAt = now
	}
	r.mu.Unlock()
	if !due {
		return
	}
	select {
	case r.offers <- credential:
	default:
	}
}

// Refresh loads prices once. What could not be read keeps its last value.
func (r *Refresher) Refresh(ctx context.Context) error {
	costMap, mapErr := r.client.CostMap(ctx)
	var list []Deployment
	var listErr error
	if r.client.HasMasterKey() {
		list, listErr = r.client.Models(ctx, "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if mapErr == nil {
		r.costMap = costMap
	}
	if r.client.HasMasterKey() && listErr == nil {
		clear(r.deployments) // this is all of them: what is gone is gone
		r.add(list)
	}
	if mapErr == nil || listErr == nil && list != nil {
		r.load()
	}
	return errors.Join(mapErr, listErr)
}

func (r *Refresher) readWith(ctx context.Context, credential string) error {
	list, err := r.client.Models(ctx, credential)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(list)
	r.load()
	return nil
}

// add needs r.mu.
func (r *Refresher) add(list []Deployment) {
	for _, d := range list {
		r.deployments[d.ID+"\x00"+d.Name] = d
	}
}

// load needs r.mu.
func (r *Refresher) load() {
	keys := slices.Sorted(maps.Keys(r.deployments))
	list := make([]Deployment, 0, len(keys))
	for _, k := range keys {
		list = append(list, r.deployments[k])
	}
	r.prices.Load(list, r.costMap, r.now())
}
