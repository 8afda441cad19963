package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

// The prompts of sdk/agent.py.
const (
	promptUsual = "[[p=1200 c=300 words=8]] Write something."
	promptSlow  = "[[p=1200 c=300 words=200 ev=0.1]] Write slowly."
	promptTool  = "[[p=110 c=20 tool]] What is the weather in Oslo?"
)

// goOpenAI is the official OpenAI SDK for Go.
func goOpenAI(ctx context.Context, base, key, scenario string) (outcome, error) {
	c := openai.NewClient(option.WithBaseURL(base+"/v1/"), option.WithAPIKey(key))
	o, err := goScenario(ctx, &c, scenario)
	if refused, ok := errors.AsType[*openai.Error](err); ok {
		return outcome{Error: &failure{
			Classes: []string{"Error"},
			Status:  refused.StatusCode,
			Code:    refused.Code,
			Type:    refused.Type,
			Message: refused.Message,
			Body:    json.RawMessage(refused.RawJSON()),
			Headers: lowerHeaders(refused.Response.Header),
		}}, nil
	}
	return o, err
}

func goScenario(ctx context.Context, c *openai.Client, scenario string) (outcome, error) {
	switch scenario {
	case "chat":
		r, err := c.Chat.Completions.New(ctx, goAsk(promptUsual))
		if err != nil {
			return outcome{}, err
		}
		return outcome{Text: r.Choices[0].Message.Content, Input: r.Usage.PromptTokens, Output: r.Usage.CompletionTokens}, nil
	case "stream":
		return goStream(ctx, c, promptUsual, 0)
	case "cancel":
		return goStream(ctx, c, promptSlow, 3)
	case "tool":
		ask := goAsk(promptTool)
		ask.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name:       "get_weather",
			Parameters: shared.FunctionParameters{"type": "object", "properties": map[string]any{"location": map[string]any{"type": "string"}}},
		})}
		r, err := c.Chat.Completions.New(ctx, ask)
		if err != nil {
			return outcome{}, err
		}
		calls := r.Choices[0].Message.ToolCalls
		if len(calls) != 1 {
			return outcome{}, fmt.Errorf("%d tool calls in %s", len(calls), r.RawJSON())
		}
		made := calls[0].Function
		o := outcome{Tool: made.Name}
		return o, json.Unmarshal([]byte(made.Arguments), &o.Arguments)
	case "upload":
		r, err := c.Images.Edit(ctx, openai.ImageEditParams{
			Model:  "gpt-image-1",
			Prompt: "a dot",
			Image:  openai.ImageEditParamsImageUnion{OfFile: openai.File(bytes.NewReader(picture()), "dot.png", "image/png")},
		})
		if err != nil {
			return outcome{}, err
		}
		return outcome{Images: len(r.Data)}, nil
	}
	return outcome{}, unknownScenario(scenario)
}

// goStream reads a stream to its end, or leaves it after so many chunks.
func goStream(ctx context.Context, c *openai.Client, prompt string, leaveAfter int) (o outcome, err error) {
	stream := c.Chat.Completions.NewStreaming(ctx, goAsk(prompt))
	defer func() {
		if closeErr := stream.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close the stream: %w", closeErr)
		}
	}()
	for stream.Next() {
		chunk := stream.Current()
		if chunk.JSON.Usage.Valid() {
			o.UsageChunks++
		}
		for _, choice := range chunk.Choices {
			o.Text += choice.Delta.Content
		}
		if o.Seen++; o.Seen == leaveAfter {
			return o, nil
		}
	}
	return o, stream.Err()
}

func goAsk(prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    "fake",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)},
	}
}

// picture is bytes that begin like a PNG; nobody decodes the rest.
func picture() []byte {
	const head = "\x89PNG\r\n\x1a\n"
	return append([]byte(head), bytes.Repeat([]byte{0x5a}, uploadSize-len(head))...)
}
