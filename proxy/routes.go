package proxy

// class says what a route means for money.
type class uint8

const (
	classUnknown     class = iota // forwarded and counted, never refused
	classMetered                  // costs money, answered at once
	classDeferred                 // costs money later: batches, fine-tuning, video
	classPassThrough              // the provider's own API through LiteLLM
	classCostless                 // an LLM route that costs nothing: models, count_tokens
	classManagement               // keys, users, spend, UI
	classHealth
)

// dialect is the error form that the caller's SDK understands.
type dialect uint8

const (
	dialectOpenAI dialect = iota
	dialectAnthropic
	dialectGoogle
)

// family is the shape of bodies and usage on a route.
type family uint8

const (
	familyOther family = iota
	familyChat
	familyCompletions
	familyResponses
	familyEmbeddings
	familyMessages
	familyGenerateContent
	familyImages
	familyAudio
	familyRerank
	familyRealtime
)

// route is what a method and path mean.
type route struct {
	class   class
	dialect dialect
	family  family
	label   string // for metrics: from a closed list
	model   []byte // named in the path; aliases the head; nil: look into the body
}

// costs reports whether a call on the route needs an admission.
func (r route) costs() bool {
	return r.class == classMetered || r.class == classDeferred || r.class == classPassThrough
}

// classify finds the route of a request by its method and cleaned path.
func classify(h *requestHead) route { return route{label: "other"} }
