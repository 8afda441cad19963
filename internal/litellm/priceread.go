package litellm

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var tierField = regexp.MustCompile(`^(.+)_above_([0-9]+)(k?)_tokens$`)

// priceOf reads a price from LiteLLM's fields: a cost map entry, a model_info, or
// an operator's override. It reports false when no field says what the model
// costs. Numbers may be strings; what is no number counts as missing. Batches,
// off-peak hours and regional uplifts are not priced.
func priceOf(fields map[string]any) (Price, bool) {
	p, ok := plainPrice(fields)
	for _, suffix := range serviceTiers {
		if over := tierFields(fields, suffix); ok && over != nil && p.served[suffix] == nil {
			s, _ := plainPrice(overlaid(fields, over))
			if p.served == nil {
				p.served = map[string]*Price{}
			}
			p.served[suffix] = &s
		}
	}
	return p, ok
}

// tierFields returns the rates of one service tier under their plain names; nil:
// it has none.
func tierFields(fields map[string]any, suffix string) map[string]any {
	var found map[string]any
	for name, value := range fields {
		plain, ok := strings.CutSuffix(name, suffix)
		if _, isNumber := number(value); !ok || !isNumber {
			continue
		}
		if found == nil {
			found = map[string]any{}
		}
		found[plain] = value
	}
	return found
}

func plainPrice(fields map[string]any) (Price, bool) {
	p := Price{}
	base := unsetRates()
	tiers := map[int64]rates{}
	priced, charged := false, false
	for name, value := range fields {
		switch name {
		case "mode":
			p.Mode, _ = value.(string)
		case "litellm_provider":
			p.inclusive = value == "xai"
		case "max_input_tokens":
			p.MaxInputTokens = tokensOf(value)
		case "max_output_tokens":
			p.MaxOutputTokens = tokensOf(value)
		case "tiered_pricing":
			readRanges(value, tiers)
		}
		if !strings.Contains(name, "cost") {
			continue
		}
		if byKind, ok := value.(map[string]any); ok && anyPositive(byKind) { // searches, by context size
			p.OtherCharges, charged = true, true
		}
		dollars, ok := number(value)
		if !ok || dollars < 0 {
			continue
		}
		priced, charged = true, charged || dollars > 0
		if r, ok := rateFields[name]; ok {
			base[r] = dollars
			continue
		}
		if m := tierField.FindStringSubmatch(name); m != nil {
			if r, ok := rateFields[m[1]]; ok {
				putTier(tiers, thresholdOf(m[2], m[3]), r, dollars)
			}
			continue
		}
		p.OtherCharges = p.OtherCharges || dollars > 0 && besideTokens(name)
	}
	if p.MaxOutputTokens == 0 {
		p.MaxOutputTokens = tokensOf(fields["max_tokens"]) // the older name
	}
	p.setTiers(tiers, &base)
	if image := base[rateOutputImage]; p.Mode == "image_generation" && image > 0 {
		base[rateOutput] = image // all that such a model puts out, though its usage says "tokens"
	}
	p.PerToken = !math.IsNaN(base[rateInput]) || !math.IsNaN(base[rateOutput])
	p.Free = base[rateInput] == 0 && base[rateOutput] == 0 && !charged && len(p.tiers) == 0
	p.setBase(base.filled())
	return p, priced || len(p.tiers) > 0
}

func (p *Price) setBase(r rates) {
	p.InputPerToken, p.OutputPerToken = r[rateInput], r[rateOutput]
	p.CacheReadPerToken, p.CacheWritePerToken, p.CacheWrite1hPerToken = r[rateCacheRead], r[rateCacheWrite], r[rateCacheWrite1h]
	p.ReasoningPerToken = r[rateReasoning]
	p.InputAudioPerToken, p.OutputAudioPerToken = r[rateInputAudio], r[rateOutputAudio]
	p.InputImagePerToken, p.OutputImagePerToken = r[rateInputImage], r[rateOutputImage]
}

// setTiers sorts the tiers, completes each one against those below it, so that
// the highest one reached says all, and makes the lowest range of a table
// without plain rates the plain rate.
func (p *Price) setTiers(tiers map[int64]rates, base *rates) {
	for above, r := range tiers {
		if above == 0 {
			*base = base.over(r)
			continue
		}
		p.tiers = append(p.tiers, tier{above, r})
	}
	slices.SortFunc(p.tiers, func(a, b tier) int { return int(min(max(a.above-b.above, -1), 1)) })
	below := *base
	for i, t := range p.tiers {
		below = below.over(t.rates)
		p.tiers[i].rates = below.filled()
	}
}

// readRanges reads tiered_pricing, a table by input size. It beats the
// _above_ fields, so it replaces what they have put.
func readRanges(value any, tiers map[int64]rates) {
	list, _ := value.([]any)
	for _, entry := range list {
		row, _ := entry.(map[string]any)
		bounds, _ := row["range"].([]any)
		if len(bounds) == 0 {
			continue
		}
		from, ok := number(bounds[0])
		if !ok || from < 0 || from > maxTokens {
			continue
		}
		for name, v := range row {
			if r, known := rateFields[name]; known {
				if dollars, ok := number(v); ok && dollars >= 0 {
					putTier(tiers, int64(from), r, dollars)
				}
			}
		}
	}
}

func putTier(tiers map[int64]rates, above int64, r rate, dollars float64) {
	t, ok := tiers[above]
	if !ok {
		t = unsetRates()
	}
	t[r] = dollars
	tiers[above] = t
}

func thresholdOf(digits, k string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > maxTokens {
		return maxTokens
	}
	if k != "" {
		n *= 1000
	}
	return n
}

// besideTokens reports whether a cost field charges for something that token
// counts do not show.
func besideTokens(name string) bool {
	return !strings.Contains(name, "token") && !strings.Contains(name, "dbu_cost")
}

func anyPositive(values map[string]any) bool {
	for _, v := range values {
		if f, ok := number(v); ok && f > 0 {
			return true
		}
	}
	return false
}

// number reads a JSON number, or a string that holds one ("3e-7").
func number(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

func tokensOf(value any) int64 {
	f, ok := number(value)
	if !ok || f < 0 || f > maxTokens {
		return 0
	}
	return int64(f)
}
