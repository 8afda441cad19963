package litellm

import (
	"strconv"

	"github.com/pursestring/pursestring/internal/budget"
)

// UsageKind says in whose terms a usage object counts.
type UsageKind uint8

// Usage kinds.
const (
	// UsageOpenAIChat is usage of chat, completions, embeddings and images.
	// Prompt counts include cached tokens, completion counts reasoning; LiteLLM
	// converts other providers to this on its OpenAI routes.
	UsageOpenAIChat UsageKind = iota
	// UsageOpenAIResponses is usage of responses, realtime and transcriptions.
	UsageOpenAIResponses
	// UsageAnthropic is usage of messages: input counts exclude cached tokens.
	UsageAnthropic
	// UsageGemini is usageMetadata: thoughts come on top of candidates.
	UsageGemini
)

// Usage is what one call used, in tokens, in one meaning whoever counted it.
type Usage struct {
	Input        int64 // all input, cached, cache writes, audio and images included
	Output       int64 // all output, reasoning, audio and images included
	CacheRead    int64 // of Input
	CacheWrite   int64 // of Input: written for five minutes, or for a time not said
	CacheWrite1h int64 // of Input: written for an hour; not in CacheWrite
	Reasoning    int64 // of Output
	InputAudio   int64 // of Input
	OutputAudio  int64 // of Output
	InputImage   int64 // of Input
	OutputImage  int64 // of Output
	// Cost is LiteLLM's own figure for the call, discounts and margins included;
	// nil: none that can be trusted. It is the full price also of an answer that
	// came from LiteLLM's cache and was billed 0.
	Cost *budget.Money

	said member
}

// member is a set of what an object said, so that a later one overrides only that.
type member uint8

const (
	saidInput member = 1 << iota // the plain input count
	saidCacheRead
	saidCacheWrite
	saidOutput
	saidReasoning
)

// maxTokens bounds a count. The largest context window known is 10 million; what
// is far above it is garbage that must not become money.
const maxTokens = 1_000_000_000

// ParseUsage reads the JSON value of a usage or usageMetadata member. It reports
// false when the value is no object, holds no count at all (null, {}), or holds
// a count that is negative, fractional or absurd: then nothing of it counts. A
// cost that is no sum of dollars ≥ 0 is left out. On Anthropic objects the cost
// counts only beside input_tokens, because LiteLLM prices a message_delta
// without them as if there had been no input. obj is not kept.
func ParseUsage(kind UsageKind, obj []byte) (Usage, bool) {
	var u Usage
	switch kind {
	case UsageAnthropic:
		return u, u.anthropic(obj)
	case UsageGemini:
		return u, u.gemini(obj)
	case UsageOpenAIChat, UsageOpenAIResponses:
	}
	return u, u.openAI(obj)
}

// Empty reports that nothing was used. LiteLLM writes such a usage, and bills
// nothing, when its provider sent none; the provider may well charge.
func (u Usage) Empty() bool { return u.Input == 0 && u.Output == 0 }

// Then returns the usage after a later object of the same stream: Anthropic's
// message_delta is cumulative and overrides message_start in what it names;
// for the others the last object stands alone.
func (u Usage) Then(kind UsageKind, later Usage) Usage {
	if kind != UsageAnthropic || u.said == 0 {
		return later
	}
	plain := u.Input - u.CacheRead - u.CacheWrite - u.CacheWrite1h
	if later.said&saidInput != 0 {
		plain = later.Input - later.CacheRead - later.CacheWrite - later.CacheWrite1h
	}
	if later.said&saidCacheRead != 0 {
		u.CacheRead = later.CacheRead
	}
	// The delta repeats the sum of the cache writes without the split by time:
	// the same sum keeps the split that message_start gave.
	if later.said&saidCacheWrite != 0 && later.CacheWrite+later.CacheWrite1h != u.CacheWrite+u.CacheWrite1h {
		u.CacheWrite, u.CacheWrite1h = later.CacheWrite, later.CacheWrite1h
	}
	if later.said&saidOutput != 0 {
		u.Output = later.Output
	}
	if later.said&saidReasoning != 0 {
		u.Reasoning = later.Reasoning
	}
	u.Input = plain + u.CacheRead + u.CacheWrite + u.CacheWrite1h
	u.Cost = later.Cost
	u.said |= later.said
	return u
}

func (u *Usage) openAI(obj []byte) bool {
	ok := true
	var total, writes int64
	detail := func(name, value []byte) bool {
		switch string(name) {
		case "cached_tokens":
			ok = count(value, &u.CacheRead)
		case "cache_creation_tokens", "cache_write_tokens":
			ok = count(value, &writes)
		case "cache_creation_token_details":
			ok = u.writes1h(value)
		case "audio_tokens":
			ok = count(value, &u.InputAudio)
		case "image_tokens":
			ok = count(value, &u.InputImage)
		}
		return ok
	}
	outputDetail := func(name, value []byte) bool {
		switch string(name) {
		case "reasoning_tokens":
			ok = count(value, &u.Reasoning)
		case "audio_tokens":
			ok = count(value, &u.OutputAudio)
		case "image_tokens":
			ok = count(value, &u.OutputImage)
		}
		return ok
	}
	whole := eachMember(obj, func(name, value []byte) bool {
		switch string(name) {
		case "prompt_tokens", "input_tokens":
			ok = u.count(value, &u.Input, saidInput)
		case "completion_tokens", "output_tokens":
			ok = u.count(value, &u.Output, saidOutput)
		case "total_tokens":
			ok = count(value, &total)
		case "prompt_tokens_details", "input_tokens_details", "input_token_details":
			eachMember(value, detail) // null is normal
		case "completion_tokens_details", "output_tokens_details", "output_token_details":
			eachMember(value, outputDetail)
		case "cost":
			u.cost(value)
		}
		return ok
	})
	u.CacheWrite = max(0, writes-u.CacheWrite1h)
	if u.said == 0 && total > 0 {
		u.Input, u.said = total, saidInput // rerank and some embeddings say no more
	}
	return ok && whole && u.said != 0
}

func (u *Usage) anthropic(obj []byte) bool {
	ok := true
	var plain, writes int64
	whole := eachMember(obj, func(name, value []byte) bool {
		switch string(name) {
		case "input_tokens":
			ok = u.count(value, &plain, saidInput)
		case "output_tokens":
			ok = u.count(value, &u.Output, saidOutput)
		case "cache_read_input_tokens":
			ok = u.count(value, &u.CacheRead, saidCacheRead)
		case "cache_creation_input_tokens":
			ok = u.count(value, &writes, saidCacheWrite)
		case "cache_creation":
			ok = u.writes1h(value)
		case "cost":
			u.cost(value)
		}
		return ok
	})
	u.CacheWrite = max(0, writes-u.CacheWrite1h)
	u.Input = plain + u.CacheRead + u.CacheWrite + u.CacheWrite1h
	if u.said&saidInput == 0 {
		u.Cost = nil
	}
	return ok && whole && u.said != 0
}

func (u *Usage) gemini(obj []byte) bool {
	ok := true
	var tools int64
	whole := eachMember(obj, func(name, value []byte) bool {
		switch string(name) {
		case "promptTokenCount":
			ok = u.count(value, &u.Input, saidInput)
		case "toolUsePromptTokenCount":
			ok = count(value, &tools)
		case "candidatesTokenCount":
			ok = u.count(value, &u.Output, saidOutput)
		case "thoughtsTokenCount":
			ok = u.count(value, &u.Reasoning, saidReasoning)
		case "cachedContentTokenCount":
			ok = count(value, &u.CacheRead)
		case "promptTokensDetails":
			ok = modalities(value, &u.InputAudio, &u.InputImage)
		case "candidatesTokensDetails":
			ok = modalities(value, &u.OutputAudio, &u.OutputImage)
		}
		return ok
	})
	u.Input += tools
	u.Output += u.Reasoning
	return ok && whole && u.said != 0
}

// modalities reads [{"modality":"AUDIO","tokenCount":12}, …].
func modalities(list []byte, audio, image *int64) bool {
	ok := true
	eachElement(list, func(_, entry []byte) bool {
		var into *int64
		var tokens int64
		eachMember(entry, func(name, value []byte) bool {
			switch string(name) {
			case "modality":
				switch string(value) {
				case `"AUDIO"`:
					into = audio
				case `"IMAGE"`:
					into = image
				}
			case "tokenCount":
				ok = count(value, &tokens)
			}
			return ok
		})
		if into != nil {
			*into += tokens
		}
		return ok
	})
	return ok
}

// writes1h reads the split of cache writes by time.
func (u *Usage) writes1h(obj []byte) bool {
	ok := true
	eachMember(obj, func(name, value []byte) bool {
		if string(name) == "ephemeral_1h_input_tokens" {
			ok = count(value, &u.CacheWrite1h)
		}
		return ok
	})
	return ok
}

// count reads a count and notes that it was said; null says nothing.
func (u *Usage) count(value []byte, into *int64, m member) bool {
	if string(value) == "null" {
		return true
	}
	u.said |= m
	return count(value, into)
}

func count(value []byte, into *int64) bool {
	if string(value) == "null" {
		return true
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(string(value), 64) // 12.0 is a whole number too
		if ferr != nil || f != float64(int64(f)) {
			return false
		}
		n = int64(f)
	}
	if n < 0 || n > maxTokens {
		return false
	}
	*into = n
	return true
}

// cost reads a number of dollars, or OpenRouter's object with total_cost.
func (u *Usage) cost(value []byte) {
	if len(value) > 0 && value[0] == '{' {
		var inner []byte
		eachMember(value, func(name, v []byte) bool {
			if string(name) == "total_cost" {
				inner = v
			}
			return inner == nil
		})
		value = inner
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f < 0 {
		return
	}
	if m, ok := budget.USD(f); ok {
		u.Cost = &m
	}
}
