// Package litellmtest is a LiteLLM for tests and for the demo: keys, budgets,
// prices, the model routes and the failures of the real proxy, with a made-up
// provider behind it. It listens on loopback only and keeps everything in
// memory.
//
// Its answers follow recordings of LiteLLM 1.106.12; the conformance test runs
// the same checks over it and over a real one. It computes its bill by itself,
// so that a bill equal to Pursestring's proves something.
//
// What a model answers is said in the prompt, as [[name=value name=value]]:
//
//	p, c            prompt and completion tokens
//	cached          cached prompt tokens
//	cwrite          prompt tokens written to the cache; cwrite1h: for an hour
//	reason          reasoning tokens
//	words           words of the answer, each one stream event
//	slow, ev        seconds before the answer, and between stream events
//	err             the provider answers this status
//	cut             the provider breaks off after so many stream events
//	nousage         the provider sends no usage
//	oldusage        message_delta names only output_tokens
//	rmodel          the model that the answer names
package litellmtest
