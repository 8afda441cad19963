// Package budget is the domain: money, tenants, periods and windows, limits,
// overrides and the words for what is decided about a call.
//
// It imports nothing of ours and touches no network, clock or disk: instants
// come in as arguments. Everything here is a value, safe to copy, and safe for
// concurrent reading.
package budget
