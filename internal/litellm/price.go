package litellm

import (
	"math"

	"github.com/pursestring/pursestring/internal/budget"
)

// Price is what one model costs: dollars per token, as LiteLLM applies them.
// Rates that LiteLLM does not know are filled in the way it bills them: a
// missing cache rate counts as the input rate, a missing reasoning, audio or
// image rate as the plain one. A Price is a value and never changes.
type Price struct {
	InputPerToken        float64
	OutputPerToken       float64
	CacheReadPerToken    float64
	CacheWritePerToken   float64
	CacheWrite1hPerToken float64
	ReasoningPerToken    float64
	InputAudioPerToken   float64
	OutputAudioPerToken  float64
	InputImagePerToken   float64
	OutputImagePerToken  float64

	MaxInputTokens  int64  // 0: not known
	MaxOutputTokens int64  // 0: not known
	Mode            string // chat, embedding, image_generation, …; may be empty

	// Free: input and output price are explicitly 0 in every deployment, and
	// nothing else costs anything.
	Free bool
	// PerToken: at least one of input and output has a rate. Without it the model
	// is billed by image, second, character or query, or not known.
	PerToken bool
	// OtherCharges: something beside tokens costs money too (images, seconds,
	// searches), which usage does not show.
	OtherCharges bool

	tiers     []tier // long-context rates, rising
	inclusive bool   // a tier begins at its threshold, not above it: xAI
	served    map[string]*Price
}

// serviceTiers are the suffixes of a service tier's rates, by the name that
// requests and answers have for it. Batches cost later and are not priced here.
var serviceTiers = map[string]string{
	"priority": "_priority", "fast": "_priority", "flex": "_flex", "balanced": "_balanced", "ultrafast": "_ultrafast",
}

// Served returns the price in a service tier (service_tier in a request, or
// better in its answer): its own rates where it has them, else the plain ones. A
// name that is no such tier (auto, default, standard, "") changes nothing.
func (p Price) Served(tier string) Price {
	if s := p.served[serviceTiers[tier]]; s != nil {
		return *s
	}
	return p
}

// tier is a set of rates for calls with more input than a threshold. All of a
// call's tokens take them. Source: _get_token_base_cost and tiered_pricing.py.
type tier struct {
	above int64
	rates rates
}

// rates are dollars per token; unset is NaN.
type rates [rateCount]float64

type rate int

const (
	rateInput rate = iota
	rateOutput
	rateCacheRead
	rateCacheWrite
	rateCacheWrite1h
	rateReasoning
	rateInputAudio
	rateOutputAudio
	rateInputImage
	rateOutputImage
	rateCount
)

var rateFields = map[string]rate{
	"input_cost_per_token":                      rateInput,
	"output_cost_per_token":                     rateOutput,
	"cache_read_input_token_cost":               rateCacheRead,
	"cache_creation_input_token_cost":           rateCacheWrite,
	"cache_creation_input_token_cost_above_1hr": rateCacheWrite1h,
	"output_cost_per_reasoning_token":           rateReasoning,
	"input_cost_per_audio_token":                rateInputAudio,
	"output_cost_per_audio_token":               rateOutputAudio,
	"input_cost_per_image_token":                rateInputImage,
	"output_cost_per_image_token":               rateOutputImage,
}

func unsetRates() rates {
	var r rates
	for i := range r {
		r[i] = math.NaN()
	}
	return r
}

// over returns r with what higher sets put over it.
func (r rates) over(higher rates) rates {
	for i, v := range higher {
		if !math.IsNaN(v) {
			r[i] = v
		}
	}
	return r
}

// filled returns r with the rates that LiteLLM uses in place of missing ones.
func (r rates) filled() rates {
	or := func(i, base rate) {
		if math.IsNaN(r[i]) {
			r[i] = r[base]
		}
	}
	for _, base := range []rate{rateInput, rateOutput} {
		if math.IsNaN(r[base]) {
			r[base] = 0
		}
	}
	or(rateCacheRead, rateInput)
	or(rateCacheWrite, rateInput)
	or(rateCacheWrite1h, rateCacheWrite)
	or(rateReasoning, rateOutput)
	or(rateInputAudio, rateInput)
	or(rateOutputAudio, rateOutput)
	or(rateInputImage, rateInput)
	or(rateOutputImage, rateOutput)
	return r
}

// Cost returns what a call with this usage costs, rounded to nearest. The figure
// that LiteLLM itself gives (u.Cost) plays no part.
func (p Price) Cost(u Usage) budget.Money {
	m, _ := budget.USD(p.dollars(p.at(u.Input), u))
	return m
}

// Worst returns the most that a call with so many tokens can cost, rounded up:
// all input at the dearest rate it could have (plain, cache write, audio,
// image), all output likewise, with the long-context rates that its input
// reaches.
func (p Price) Worst(inputTokens, outputTokens int64) budget.Money {
	r := p.at(inputTokens)
	in := max(r[rateInput], r[rateCacheRead], r[rateCacheWrite], r[rateCacheWrite1h], r[rateInputAudio], r[rateInputImage])
	out := max(r[rateOutput], r[rateReasoning], r[rateOutputAudio], r[rateOutputImage])
	return budget.USDUp(float64(inputTokens)*in + float64(outputTokens)*out)
}

// at returns the rates of a call with so much input.
func (p Price) at(input int64) rates {
	r := p.base()
	if len(p.tiers) == 0 {
		return r
	}
	reached := false
	for _, t := range p.tiers {
		if input > t.above || p.inclusive && input == t.above {
			r, reached = r.over(t.rates), true
		}
	}
	if !reached {
		return p.base()
	}
	return r
}

func (p Price) base() rates {
	return rates{
		p.InputPerToken, p.OutputPerToken, p.CacheReadPerToken, p.CacheWritePerToken, p.CacheWrite1hPerToken,
		p.ReasoningPerToken, p.InputAudioPerToken, p.OutputAudioPerToken, p.InputImagePerToken, p.OutputImagePerToken,
	}
}

// dollars applies rates as LiteLLM does: parts at their rates, the rest, never
// below zero, at the plain ones. Source: generic_cost_per_token.
func (p Price) dollars(r rates, u Usage) float64 {
	text := max(0, u.Input-u.CacheRead-u.CacheWrite-u.CacheWrite1h-u.InputAudio-u.InputImage)
	answer := max(0, u.Output-u.Reasoning-u.OutputAudio-u.OutputImage)
	sum := 0.0
	for _, part := range [...]struct {
		tokens int64
		rate   rate
	}{
		{text, rateInput}, {u.CacheRead, rateCacheRead}, {u.CacheWrite, rateCacheWrite},
		{u.CacheWrite1h, rateCacheWrite1h}, {u.InputAudio, rateInputAudio}, {u.InputImage, rateInputImage},
		{answer, rateOutput}, {u.Reasoning, rateReasoning}, {u.OutputAudio, rateOutputAudio}, {u.OutputImage, rateOutputImage},
	} {
		sum += float64(part.tokens) * r[part.rate]
	}
	return sum
}

// dearness orders prices: what one input and one output token cost together, in
// the dearest tier.
func (p Price) dearness() float64 {
	r := p.at(math.MaxInt64)
	return max(p.InputPerToken+p.OutputPerToken, r[rateInput]+r[rateOutput])
}
