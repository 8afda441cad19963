// Package enforce decides about calls.
//
// The walk of one call: Admit finds the policy of the key (cache, else store,
// else LiteLLM, within a moment), the window that is open now, and asks the
// ledger for a hold. The answer is a Decision, never an error: trouble is a
// verdict with a reason. Exactly one of Settle and Release ends the hold.
package enforce
