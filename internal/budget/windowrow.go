package budget

import "time"

// WindowRow is one window of a tenant as the store keeps it, open or closed.
type WindowRow struct {
	Window             // Start is zero when spend came before the window was recorded
	Spent    Money     // settled, as last stored; late settlements raise it also after closing
	ClosedAt time.Time // zero: open
}
