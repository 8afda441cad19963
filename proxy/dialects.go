package proxy

// The bodies of errors as the callers' SDKs read them.

type openAIBody struct {
	Error  openAIError  `json:"error"`
	Budget *budgetFacts `json:"budget,omitempty"`
}

type openAIError struct {
	Message string       `json:"message"`
	Type    string       `json:"type"`
	Param   *string      `json:"param"`
	Code    string       `json:"code"`
	Budget  *budgetFacts `json:"budget,omitempty"` // OpenAI's SDKs keep nothing beside error
}

type anthropicBody struct {
	Type   string         `json:"type"`
	Error  anthropicError `json:"error"`
	Budget *budgetFacts   `json:"budget,omitempty"`
}

type anthropicError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Code    string `json:"code,omitempty"`
}

// anthropicType is the type that Anthropic's errors page gives to a status.
func anthropicType(status int) string {
	switch status {
	case 401:
		return "authentication_error"
	case 403:
		return "permission_error"
	case 404:
		return "not_found_error"
	case 413:
		return "request_too_large"
	case 429:
		return "rate_limit_error"
	case 503:
		return "overloaded_error"
	}
	if status < 500 {
		return "invalid_request_error"
	}
	return "api_error"
}

type googleBody struct {
	Error  googleError  `json:"error"`
	Budget *budgetFacts `json:"budget,omitempty"`
}

type googleError struct {
	Code    int    `json:"code"`
	Status  string `json:"status"`
	Message string `json:"message"`
	Details []any  `json:"details"`
}

const (
	typeErrorInfo = "type.googleapis.com/google.rpc.ErrorInfo"
	typeRetryInfo = "type.googleapis.com/google.rpc.RetryInfo"
	domain        = "pursestring"
)

type errorInfo struct {
	Type     string            `json:"@type"`
	Reason   string            `json:"reason"`
	Domain   string            `json:"domain"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

type retryInfo struct {
	Type  string `json:"@type"`
	Delay string `json:"retryDelay"`
}

// googleStatus is the canonical code of google.rpc.Code for an HTTP status.
func googleStatus(status int) string {
	switch status {
	case 401:
		return "UNAUTHENTICATED"
	case 403:
		return "PERMISSION_DENIED"
	case 404:
		return "NOT_FOUND"
	case 429:
		return "RESOURCE_EXHAUSTED"
	case 500:
		return "INTERNAL"
	case 504:
		return "DEADLINE_EXCEEDED"
	}
	if status < 500 {
		return "INVALID_ARGUMENT"
	}
	return "UNAVAILABLE"
}
