package mock

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// WishHeader is the request header that carries a Wish.
const WishHeader = "x-mock"

// ServiceHeader is the response header with the nanoseconds from the mock's
// handler having the request to its answer being ready.
const ServiceHeader = "x-mock-service-ns"

// Wish is what one call asks of the mock.
type Wish struct {
	// Delay passes before the answer, or before a stream's first event.
	Delay time.Duration
	// Events of a stream; 0: a JSON answer.
	Events int
	// Interval between events.
	Interval time.Duration
	// Hold keeps a stream open and silent after its last event until the client
	// leaves; otherwise it ends with usage and [DONE].
	Hold bool
	// ID names a stream in Gone; 0: nobody asks.
	ID int64
}

// String is the header's value; parseWish reads it back.
func (w Wish) String() string {
	var b strings.Builder
	if w.Delay > 0 {
		fmt.Fprintf(&b, "delay=%d ", int64(w.Delay))
	}
	if w.Events > 0 {
		fmt.Fprintf(&b, "events=%d interval=%d ", w.Events, int64(w.Interval))
	}
	if w.Hold {
		b.WriteString("hold=1 ")
	}
	if w.ID != 0 {
		fmt.Fprintf(&b, "id=%d ", w.ID)
	}
	return strings.TrimSuffix(b.String(), " ")
}

// parseWish ignores what it does not know: a call without a wish gets a JSON
// answer at once.
func parseWish(value string) Wish {
	var w Wish
	for part := range strings.FieldsSeq(value) {
		name, number, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "delay":
			w.Delay = time.Duration(n)
		case "events":
			w.Events = int(n)
		case "interval":
			w.Interval = time.Duration(n)
		case "hold":
			w.Hold = n != 0
		case "id":
			w.ID = n
		}
	}
	return w
}
