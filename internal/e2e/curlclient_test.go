package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// curl is the command line tool.
func curl(ctx context.Context, base, key, scenario string) (outcome, error) {
	switch scenario {
	case "chat":
		a, err := curlJSON(ctx, base, key, chatBody(promptUsual, false))
		if err != nil || a.status != http.StatusOK {
			return a.failure(), err
		}
		var r struct {
			Choices []struct {
				Message struct{ Content string }
			}
			Usage struct {
				Input  int64 `json:"prompt_tokens"`
				Output int64 `json:"completion_tokens"`
			}
		}
		if err := json.Unmarshal(a.body, &r); err != nil {
			return outcome{}, err
		}
		return outcome{Text: r.Choices[0].Message.Content, Input: r.Usage.Input, Output: r.Usage.Output}, nil
	case "stream":
		a, err := curlJSON(ctx, base, key, chatBody(promptUsual, true), "--no-buffer")
		if err != nil || a.status != http.StatusOK {
			return a.failure(), err
		}
		return readEvents(a.body)
	case "cancel":
		// curl leaves when its time is up, with exit code 28.
		a, err := curlJSON(ctx, base, key, chatBody(promptSlow, true), "--no-buffer", "--max-time", "2")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 28 {
			return outcome{}, fmt.Errorf("curl should have run out of time in the stream: %w", err)
		}
		return outcome{Seen: bytes.Count(a.body, []byte("data: "))}, nil
	case "upload":
		return curlUpload(ctx, base, key)
	}
	return outcome{}, unknownScenario(scenario)
}

func curlUpload(ctx context.Context, base, key string) (outcome, error) {
	file, err := os.CreateTemp("", "picture-*.png")
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.Write(picture()); err != nil {
		return outcome{}, err
	}
	if err := file.Close(); err != nil {
		return outcome{}, err
	}
	a, err := runCurl(ctx, nil, "-H", "Authorization: Bearer "+key, base+"/v1/images/edits",
		"-F", "model=gpt-image-1", "-F", "prompt=a dot", "-F", "image=@"+file.Name()+";type=image/png")
	if err != nil || a.status != http.StatusOK {
		return a.failure(), err
	}
	var r struct{ Data []json.RawMessage }
	err = json.Unmarshal(a.body, &r)
	return outcome{Images: len(r.Data)}, err
}

// curlAnswer is what curl --include printed.
type curlAnswer struct {
	status  int
	headers map[string]string
	body    []byte
}

func (a curlAnswer) failure() outcome {
	var body struct {
		Error struct {
			Message string
			Type    string
			Code    any
		}
	}
	_ = json.Unmarshal(a.body, &body) // what is not JSON has no message
	return outcome{Error: &failure{
		Status:  a.status,
		Code:    body.Error.Code,
		Type:    body.Error.Type,
		Message: body.Error.Message,
		Body:    json.RawMessage(a.body),
		Headers: a.headers,
	}}
}

func curlJSON(ctx context.Context, base, key string, body []byte, options ...string) (curlAnswer, error) {
	return runCurl(ctx, body, append(options, "-H", "Authorization: Bearer "+key, "-H", "Content-Type: application/json",
		"--data-binary", "@-", base+"/v1/chat/completions")...)
}

// runCurl returns what was read also when curl itself failed.
func runCurl(ctx context.Context, input []byte, args ...string) (curlAnswer, error) {
	cmd := exec.CommandContext(ctx, "curl", append([]string{"--silent", "--show-error", "--include", "--noproxy", "*"}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("curl: %w: %s", err, complaints.Bytes())
	}
	// An interim answer to Expect: 100-continue has a head of its own.
	for bytes.HasPrefix(out, []byte("HTTP/1.1 100")) {
		_, out, _ = bytes.Cut(out, []byte("\r\n\r\n"))
	}
	head, body, _ := bytes.Cut(out, []byte("\r\n\r\n"))
	first, rest, _ := strings.Cut(string(head), "\r\n")
	a := curlAnswer{body: body}
	if fields := strings.Fields(first); len(fields) > 1 {
		a.status, _ = strconv.Atoi(fields[1])
	}
	header, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(rest + "\r\n\r\n"))).ReadMIMEHeader()
	a.headers = lowerHeaders(http.Header(header))
	return a, err
}

// readEvents reads a whole OpenAI chat stream.
func readEvents(body []byte) (outcome, error) {
	var o outcome
	for line := range bytes.Lines(body) {
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !ok {
			continue
		}
		if string(data) == "[DONE]" {
			o.Done = true
			continue
		}
		var chunk struct {
			Choices []struct {
				Delta struct{ Content string }
			}
			Usage json.RawMessage
		}
		if err := json.Unmarshal(data, &chunk); err != nil {
			return o, fmt.Errorf("event %s: %w", data, err)
		}
		if len(chunk.Usage) > 0 && string(chunk.Usage) != "null" {
			o.UsageChunks++
		}
		for _, c := range chunk.Choices {
			o.Text += c.Delta.Content
		}
	}
	return o, nil
}

func chatBody(prompt string, stream bool) []byte {
	body, err := json.Marshal(map[string]any{
		"model":    "fake",
		"stream":   stream,
		"messages": []any{map[string]any{"role": "user", "content": prompt}},
	})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return body
}

func lowerHeaders(h http.Header) map[string]string {
	lower := make(map[string]string, len(h))
	for name, values := range h {
		lower[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return lower
}
