package suite

import "time"

// Tier is how long and how large a run is.
type Tier struct {
	Name string

	SaturationRounds  int
	SaturationLength  time.Duration
	SaturationClients int

	SteadyRounds int
	SteadyLength time.Duration
	SteadyRate   float64

	LatencyRounds int
	LatencyLength time.Duration
	LatencyRate   float64 // halved until this machine can
	LatencyDelay  time.Duration

	StreamRounds   int
	Streams        int
	StreamsOpening float64 // per second
	StreamEvents   int
	StreamInterval time.Duration

	MemoryStreams int // fewer when open files are short
	MemoryHold    time.Duration

	GoneStreams int
	GoneLimit   time.Duration // a stream not seen closed by then counts as this long

	Uploads     int
	UploadSmall int64
	UploadLarge int64
}

// Full is the tier whose results are kept.
var Full = Tier{
	Name:             "full",
	SaturationRounds: 5, SaturationLength: 4 * time.Second, SaturationClients: 64,
	SteadyRounds: 5, SteadyLength: 4 * time.Second, SteadyRate: 3000,
	LatencyRounds: 5, LatencyLength: 5 * time.Second, LatencyRate: 5000, LatencyDelay: 60 * time.Millisecond,
	StreamRounds: 3, Streams: 1000, StreamsOpening: 500, StreamEvents: 40, StreamInterval: 250 * time.Millisecond,
	MemoryStreams: 10000, MemoryHold: 6 * time.Second,
	GoneStreams: 200, GoneLimit: 3 * time.Second,
	Uploads: 20, UploadSmall: 10 << 20, UploadLarge: 100 << 20,
}

// Short is the tier for CI: it shows that everything works. Its rounds are too
// few and too short for its ratios to be judged by.
var Short = Tier{
	Name:             "short",
	SaturationRounds: 2, SaturationLength: 800 * time.Millisecond, SaturationClients: 32,
	SteadyRounds: 2, SteadyLength: 700 * time.Millisecond, SteadyRate: 2000,
	LatencyRounds: 2, LatencyLength: 800 * time.Millisecond, LatencyRate: 1000, LatencyDelay: 60 * time.Millisecond,
	StreamRounds: 1, Streams: 100, StreamsOpening: 400, StreamEvents: 10, StreamInterval: 100 * time.Millisecond,
	MemoryStreams: 500, MemoryHold: 500 * time.Millisecond,
	GoneStreams: 20, GoneLimit: 500 * time.Millisecond,
	Uploads: 4, UploadSmall: 2 << 20, UploadLarge: 16 << 20,
}
