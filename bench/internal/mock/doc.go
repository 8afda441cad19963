// Package mock is the upstream of the benchmark: it answers as LiteLLM does, at
// the cost of a few microseconds, and knows when it was asked and left.
//
// What one call is to do stands in its request header x-mock (Wish), which every
// hop forwards, so no state has to be switched between calls. Each JSON answer
// says in x-mock-service-ns how long the mock had it, each event of a stream
// when it was written, so that a caller can take the upstream's own time out of
// what it measures.
package mock
