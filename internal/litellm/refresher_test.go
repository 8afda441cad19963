package litellm

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrip is a LiteLLM without a network, for tests in a bubble.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func prices(costMap, models *atomic.Int64, down *atomic.Bool) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		switch {
		case down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/model/info":
			models.Add(1)
			_, _ = w.WriteString(`{"data":[{"model_name":"mine","litellm_params":{"model":"openai/x"},"model_info":{"id":"1","input_cost_per_token":1e-6,"output_cost_per_token":2e-6}}]}`)
		default:
			costMap.Add(1)
			_, _ = w.WriteString(`{"listed":{"input_cost_per_token":3e-6,"output_cost_per_token":3e-6}}`)
		}
		return w.Result()
	})}
}

func TestRefresherWithMasterKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var costMap, models atomic.Int64
		var down atomic.Bool
		down.Store(true)
		p := NewPrices(nil)
		r := NewRefresher(New(Options{BaseURL: "http://litellm.invalid", MasterKey: "sk-master", HTTP: prices(&costMap, &models, &down)}), p, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()

		synctest.Wait()
		if p.Count() != 0 {
			t.Error("prices of a LiteLLM that is down")
		}
		down.Store(false)
		time.Sleep(pricesRetry) // the first retry is soon
		synctest.Wait()
		if _, ok := p.Lookup("mine"); !ok || p.Count() != 2 {
			t.Errorf("after the retry %d prices", p.Count())
		}
		down.Store(true)
		time.Sleep(pricesEvery + time.Second)
		synctest.Wait()
		if _, ok := p.Lookup("listed"); !ok {
			t.Error("a failed refresh loses prices")
		}
		if age, ok := p.Age(time.Now()); !ok || age < pricesEvery {
			t.Errorf("age %v %v", age, ok)
		}
		r.Offer("sk-test-0000000001")
		synctest.Wait()
		if models.Load() != 1 {
			t.Errorf("with a master key an offer is taken: %d reads", models.Load())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func TestRefresherWithoutMasterKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var costMap, models atomic.Int64
		var down atomic.Bool
		p := NewPrices(nil)
		r := NewRefresher(New(Options{BaseURL: "http://litellm.invalid", HTTP: prices(&costMap, &models, &down)}), p, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		if _, ok := p.Lookup("listed"); !ok || models.Load() != 0 {
			t.Errorf("the public list: %v, %d reads of deployments", ok, models.Load())
		}
		for range 100 {
			r.Offer("sk-test-0000000001")
			synctest.Wait()
		}
		if _, ok := p.Lookup("mine"); !ok || models.Load() != 1 {
			t.Errorf("after 100 offers: %v, %d reads, want 1", ok, models.Load())
		}
		time.Sleep(offerCooldown)
		r.Offer("sk-test-0000000001")
		synctest.Wait()
		if models.Load() != 2 {
			t.Errorf("a minute later: %d reads, want 2", models.Load())
		}
		time.Sleep(pricesEvery)
		synctest.Wait()
		if _, ok := p.Lookup("mine"); !ok || costMap.Load() < 2 {
			t.Errorf("deployments are kept when the list is read again: %v, %d", ok, costMap.Load())
		}
		cancel()
		<-ended
	})
}
