package proxy

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

// plan is what a body says about the call before it is sent.
type plan struct {
	model    string // as asked for; "" when the body does not say
	stream   bool
	estimate budget.Estimate
	free     bool // an explicit price of 0 everywhere it can go
	unpriced bool // the model has no price: estimated as the dearest known
	refuse   bool // unpriced, and prices.unpriced is refuse
	// injectUsage: stream_options.include_usage is to be set to true, and the
	// usage chunk that this brings is to be hidden from the client.
	injectUsage bool

	// What the estimate is made of, for the meter and for the advice in a refusal.
	inputMean   budget.Money
	inputWorst  budget.Money
	outputPrice float64 // dollars per output token, of all choices and models together
}

// Figures of the estimate.
const (
	bytesPerToken = 4 // of English text and JSON; LiteLLM's own rule of thumb

	imageTokensMean  = 1_500 // what providers charge for one photograph
	imageTokensWorst = 5_000 // Claude's dearest is 4,784
	blobTokensMean   = 1_500 // a page or two, half a minute of sound
	blobBytesPerTok  = 8     // the densest documents

	outputTokensMean  = 1_024  // a guess for a call that names no cap, until there is history to go by
	outputTokensWorst = 16_384 // LiteLLM's own reservation where nothing names a cap
)

// defaultEstimate stands in where no price at all is known: a call of a dear
// model of middling size, and at worst ten of them.
var defaultEstimate = budget.Estimate{Mean: budget.Cent, Worst: 10 * budget.Cent, StdDev: 0.02}

// planner makes plans. It is safe for concurrent use.
type planner struct {
	prices   *litellm.Prices
	unpriced string // prices.unpriced: estimate, allow, refuse
}

// plan reads at most the given prefix of the body. whole says that prefix is the
// whole body; length is its declared length, or -1.
func (p *planner) plan(r route, prefix []byte, whole bool, length int64) plan {
	f := scanBody(prefix, whole)
	out := plan{
		model:  modelOf(r, &f, prefix),
		stream: f.stream,
	}
	out.injectUsage = r.asksUsage && f.stream && f.canInject(prefix)
	if r.family == familyTool {
		// LiteLLM prices these at nothing unless its operator has set a price.
		out.estimate = budget.Estimate{Worst: defaultEstimate.Worst}
		return out
	}
	w := weighing{route: r, facts: &f, size: sizeOf(&f, prefix, whole, length)}
	p.price(&w, &out)
	switch {
	case w.models > 0:
		w.estimate(&out)
	case !out.unpriced: // unpriced and still nothing to weigh: allowed at no cost
		out.estimate = defaultEstimate
	}
	return out
}

// modelOf returns the model that the call asks for; the one in the path beats
// the one in the body.
func modelOf(r route, f *bodyFacts, prefix []byte) string {
	switch {
	case r.model != nil:
		return string(r.model)
	case !f.model.isZero():
		return jsonText(f.model.in(prefix))
	case !f.object:
		return string(formField(prefix, "model"))
	}
	return ""
}

// jsonText returns the text of a JSON string.
func jsonText(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return ""
	}
	return s
}

// formField returns the value of a field that lies whole in the prefix of a
// multipart form, or nil.
func formField(prefix []byte, name string) []byte {
	if !bytes.HasPrefix(prefix, []byte("--")) {
		return nil
	}
	boundary, _, _ := bytes.Cut(prefix, []byte("\r\n"))
	_, part, ok := bytes.Cut(prefix, []byte(`; name="`+name+`"`))
	if !ok {
		return nil
	}
	_, value, ok := bytes.Cut(part, []byte("\r\n\r\n"))
	if !ok {
		return nil
	}
	value, _, ok = bytes.Cut(value, append([]byte("\r\n"), boundary...))
	if !ok {
		return nil
	}
	return value
}

// price weighs everything the call can cause: one model, or each of "a,b", which
// LiteLLM runs all on chat.
func (p *planner) price(w *weighing, out *plan) {
	if p.prices == nil {
		return
	}
	dearest, known := p.prices.Dearest()
	f := w.facts
	// A model that a later duplicate could still replace is judged as the dearest.
	if sure := out.model != "" && (w.route.model != nil || !f.object || f.whole); !sure {
		if known {
			w.add(&dearest)
		}
		return
	}
	out.free = f.whole && !f.fallbacks
	for model, rest, more := nextModel(w.route, out.model); ; model, rest, more = nextModel(w.route, rest) {
		price, ok := p.prices.Lookup(model)
		out.free = out.free && ok && price.Free
		switch {
		case ok:
			w.add(&price)
		case !known: // no price table: trouble of ours, not a model without a price
		case p.unpriced == "allow":
			out.unpriced = true
		default:
			out.unpriced = true
			out.refuse = p.unpriced == "refuse"
			w.add(&dearest)
		}
		if !more {
			return
		}
	}
}

// nextModel cuts the first off the models that a call to this one runs.
func nextModel(r route, models string) (model, rest string, more bool) {
	if r.family != familyChat || r.model != nil {
		return models, "", false
	}
	model, rest, more = strings.Cut(models, ",")
	return strings.TrimSpace(model), rest, more
}

// size is how many input tokens a body may be.
type size struct{ mean, worst int64 }

func sizeOf(f *bodyFacts, prefix []byte, whole bool, length int64) size {
	if !f.object {
		// A form with a file, or nothing that we can read.
		blob := max(length, int64(len(prefix)))
		return size{blobTokensMean, blobTokensMean + blob/blobBytesPerTok}
	}
	text, blobs, blobBytes := f.textBytes, f.otherBlobs, f.blobBytes
	if rest := length - int64(len(prefix)); !whole && rest > 0 {
		switch {
		case !f.inBlob:
			text += rest
		case blobs > 0:
			blobBytes += rest
		}
	}
	return size{
		mean: text/bytesPerToken + f.images*imageTokensMean + blobs*blobTokensMean,
		// No text has more tokens than bytes.
		worst: text + f.images*imageTokensWorst + blobs*blobTokensMean + blobBytes/blobBytesPerTok,
	}
}

// weighing sums up what the models of one call may cost.
type weighing struct {
	route route
	facts *bodyFacts
	size  size

	models                 int
	inMean, outMean, worst float64 // dollars
	inWorst                budget.Money
	outPrice               float64
}

func (w *weighing) add(price *litellm.Price) {
	w.models++
	if !price.PerToken && price.OtherCharges {
		// Billed by image, second or character: the answer will say.
		times := float64(max(w.facts.n, 1))
		w.outMean += defaultEstimate.Mean.Float() * times
		w.worst += defaultEstimate.Worst.Float() * times
		return
	}
	in := w.size
	if most := price.MaxInputTokens; most > 0 { // the provider refuses more than that
		in = size{min(in.mean, most), min(in.worst, most)}
	}
	limit, n := outputCap(w.route, w.facts), choices(w.route, w.facts)*produces(w.route)
	mean := min(limit.or(outputTokensMean), outputTokensMean) * n
	most := limit.or(price.MaxOutputTokens).or(outputTokensWorst) * n
	w.inMean += float64(in.mean) * price.InputPerToken
	w.outMean += float64(mean) * price.OutputPerToken
	w.worst += price.Worst(in.worst, int64(most)).Float()
	w.inWorst = w.inWorst.Add(price.Worst(in.worst, 0))
	w.outPrice += price.OutputPerToken * float64(n)
}

func (w *weighing) estimate(out *plan) {
	out.inputMean, _ = budget.USD(w.inMean)
	out.inputWorst, out.outputPrice = w.inWorst, w.outPrice
	out.estimate.Mean, _ = budget.USD(w.inMean + w.outMean)
	out.estimate.Worst = max(budget.USDUp(w.worst), out.estimate.Mean)
	// Outputs scatter by at least a quarter of their mean, and the count of input
	// tokens by bytes is good to 20 %.
	out.estimate.StdDev = math.Hypot(w.outMean/4, w.inMean/5)
}

// tokens is a number of tokens; 0 says nothing.
type tokens int64

func (t tokens) or(other int64) tokens {
	if t > 0 {
		return t
	}
	return tokens(other)
}

// outputCap is the largest cap that the body names in the route's own words: a
// cap in another API's words is no cap there.
func outputCap(r route, f *bodyFacts) tokens {
	switch r.family {
	case familyChat, familyCompletions:
		return tokens(max(f.maxTokens, f.maxCompletionTokens))
	case familyMessages:
		return tokens(f.maxTokens)
	case familyResponses:
		return tokens(f.maxOutputTokens)
	case familyGenerateContent:
		return tokens(f.googleMaxOutputTokens)
	default:
		return tokens(max(f.maxTokens, f.maxCompletionTokens, f.maxOutputTokens, f.googleMaxOutputTokens, f.inferenceMaxTokens))
	}
}

// choices is how many answers the call asks for.
func choices(r route, f *bodyFacts) tokens {
	switch r.family {
	case familyChat, familyImages:
		return max(tokens(f.n), 1)
	case familyCompletions:
		return max(tokens(f.n), tokens(f.bestOf), 1)
	case familyGenerateContent:
		return max(tokens(f.candidates), 1)
	default:
		return 1
	}
}

// produces is 0 where the answer holds no tokens that are paid for.
func produces(r route) tokens {
	switch r.family {
	case familyEmbeddings, familyRerank:
		return 0
	default:
		return 1
	}
}
