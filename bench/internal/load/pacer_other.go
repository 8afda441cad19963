//go:build !linux

package load

import "time"

// pacer ticks, elsewhere than on Linux as well as the runtime can.
type pacer struct{ t *time.Ticker }

func newPacer(every time.Duration) (*pacer, error) { return &pacer{t: time.NewTicker(every)}, nil }

func (p *pacer) wait() error {
	<-p.t.C
	return nil
}

func (p *pacer) close() { p.t.Stop() }
