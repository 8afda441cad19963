// Package load generates HTTP/1.1 load and measures what comes back.
//
// Closed keeps a fixed number of calls in flight: it finds out what a server can
// do, and what a call costs it then. Open starts calls at a fixed rate whatever
// the server does, and measures each from the instant at which it was due, not
// from when it could be sent: a server that stalls is charged for all the calls
// that it kept from starting (no coordinated omission). Streams opens many
// server-sent event streams, Uploads sends large bodies.
//
// The client is a few lines over net.Conn, so that the generator takes as little
// of the machine as it can from those whom it measures.
package load
