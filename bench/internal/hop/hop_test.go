package hop

import (
	"net"
	"testing"
	"time"

	"github.com/pursestring/pursestring/bench/internal/load"
	"github.com/pursestring/pursestring/bench/internal/mock"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// Each yardstick carries the mock's wishes up and its answers down: JSON, a
// stream event by event, an upload.
func TestHopsCarryEverything(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Listener, string) error{"fasthttp": ServeFast, "net/http": ServeStd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream, up, down := mock.NewServer(), listen(t), listen(t)
			go func() { _ = upstream.Serve(up) }()
			go func() { _ = serve(down, up.Addr().String()) }()
			addr := down.Addr().String()

			answer, err := load.Do(t.Context(), addr, load.Chat(mock.Wish{Delay: 10 * time.Millisecond}))
			if err != nil || answer.Status != 200 || answer.Service < 10*time.Millisecond || answer.Body < 600 {
				t.Errorf("JSON: %+v, %v", answer, err)
			}
			s, err := load.OpenStreams(t.Context(), addr, load.StreamOptions{Count: 3, PerSecond: 100,
				Wish: mock.Wish{Events: 4, Interval: 50 * time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			s.Wait(t.Context())
			if s.Completed.Load() != 3 || s.Events.Load() != 12 {
				t.Errorf("streams: completed %d, events %d, %v", s.Completed.Load(), s.Events.Load(), s.FirstError())
			}
			if p50 := s.Event.Quantile(0.5); p50 > 40*time.Millisecond {
				t.Errorf("an event took %v: they are not passed one by one", p50)
			}
			before := upstream.Report().Bytes
			if r := load.Uploads(t.Context(), addr, 2, 1<<20); r.Calls.Load() != 2 {
				t.Errorf("uploads: %v", r.FirstError())
			}
			if got := upstream.Report().Bytes - before; got < 2<<20 {
				t.Errorf("uploads: %d bytes arrived", got)
			}
		})
	}
}
