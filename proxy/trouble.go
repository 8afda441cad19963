package proxy

// trouble is an error that is no budget refusal. It is never a 402: whoever
// reads 402 stops calling, and here nothing is known against the caller.
type trouble struct {
	status  int
	code    string // for the body and the metric; the list below is closed
	message string
}

var (
	troubleMalformed    = &trouble{400, "malformed_request", "The request is not valid HTTP/1.1."}
	troubleBadHead      = &trouble{400, "bad_request", "The request head cannot be forwarded."} // counts every badRequest
	troubleBadBody      = &trouble{400, "malformed_body", "The request body broke off or its chunks are malformed; send it again."}
	troubleClientGone   = &trouble{400, "client_gone", "The client closed its side of the connection before the answer, which counts as leaving: keep it open until the answer has come."}
	troubleUnpriced     = &trouble{400, "model_without_price", "This model has no known price and prices.unpriced is refuse: set its price under prices.models, or ask your administrator to."}
	troubleNoCredential = &trouble{401, "no_credential", "Send the virtual key whose budget you want to see, as for any other call."}
	troubleUnknownKey   = &trouble{404, "unknown_key", "No tenant is known for this key. A key gets one with its first call that LiteLLM accepts."}
	troubleSlowClient   = &trouble{408, "request_timeout", "The request did not arrive in time."}
	troubleTooLarge     = &trouble{413, "body_too_large", "The request body is larger than proxy.max_body allows."}
	troubleHeadTooLarge = &trouble{431, "head_too_large", "The request head, its first line and headers together, is too large."}
	troubleInternal     = &trouble{500, "internal_error", "Internal error; the call was not completed."}
	troubleUnreachable  = &trouble{502, "upstream_unreachable", "LiteLLM cannot be reached; the call was not made."}
	troubleBroke        = &trouble{502, "upstream_broke", "LiteLLM closed the connection before it had answered. The call may have been made, so it is not repeated."}
	troubleGarbled      = &trouble{502, "upstream_garbled", "LiteLLM's answer is not valid HTTP."}
	troubleBusy         = &trouble{503, "upstream_busy", "All connections to LiteLLM are in use; try again in a moment."}
	troubleStopping     = &trouble{503, "shutting_down", "This instance is shutting down; try again."}
	troubleTimeout      = &trouble{504, "upstream_timeout", "LiteLLM did not begin to answer within proxy.first_byte_timeout."}
	troubleVersion      = &trouble{505, "http_version", "Only HTTP/1.0 and HTTP/1.1 are spoken here."}
	allTroubles         = []*trouble{troubleMalformed, troubleBadHead, troubleBadBody, troubleClientGone, troubleUnpriced, troubleNoCredential, troubleUnknownKey, troubleSlowClient, troubleTooLarge, troubleHeadTooLarge, troubleInternal, troubleUnreachable, troubleBroke, troubleGarbled, troubleBusy, troubleStopping, troubleTimeout, troubleVersion}
)
