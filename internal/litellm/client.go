package litellm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// What a failed call can mean to its caller; match with errors.Is.
var (
	// ErrRejected: LiteLLM answered and does not accept the credential for this,
	// or not at all (401, 403).
	ErrRejected = errors.New("credential not accepted")
	// ErrNotFound: LiteLLM answered and knows no such thing (404). For the
	// master key asking about itself too: it is no key.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: nobody knows (network, timeout, 5xx, 429, LiteLLM without
	// its database, or an answer that is not what LiteLLM sends).
	ErrUnavailable = errors.New("litellm unavailable")
)

// StatusError is an answer that says no. It wraps one of the sentinels where one
// fits. It never holds a credential.
type StatusError struct {
	Op      string // method and path, without the query
	Status  int
	Type    string // LiteLLM's error.type, such as token_not_found_in_db; may be empty
	Message string // LiteLLM's words, bounded, credentials cut out; may be empty
	kind    error
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("litellm: %s answered %d", e.Op, e.Status)
	if e.Type != "" {
		s += " " + e.Type
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Unwrap returns ErrRejected, ErrNotFound, ErrUnavailable or nil.
func (e *StatusError) Unwrap() error { return e.kind }

// Options configure a Client.
type Options struct {
	BaseURL   string // litellm.url, such as http://127.0.0.1:4000; a path is kept
	MasterKey string // litellm.master_key; empty: only calls with a caller's own credential work
	KeyHeader string // litellm.key_header: general_settings.litellm_key_header_name; empty: Authorization
	// HTTP is used as it is, when given; nil: a client of our own.
	HTTP    *http.Client
	Timeout time.Duration // of one call, reading included; 0: 10 s
	Log     *slog.Logger  // nil: discarded
}

// Client speaks with LiteLLM's admin API. It is safe for concurrent use. Calls
// are tried once: who repeats them knows better when.
type Client struct {
	base      string
	master    string
	keyHeader string
	http      *http.Client
	timeout   time.Duration
	log       *slog.Logger
}

// LiteLLM closes an idle connection after 5.0 s (measured); ours must be gone
// before, or a call meets the close.
const idleBelowLiteLLM = 4 * time.Second

// Sizes past which an answer is not LiteLLM's. Its price list is 3 MB.
const (
	mostAnswer    = 4 << 20
	mostPriceList = 64 << 20
)

// New returns a client. It does not connect.
func New(o Options) *Client {
	c := &Client{
		base: strings.TrimRight(o.BaseURL, "/"), master: o.MasterKey, keyHeader: o.KeyHeader,
		http: o.HTTP, timeout: o.Timeout, log: o.Log,
	}
	if c.timeout <= 0 {
		c.timeout = 10 * time.Second
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.keyHeader == "" {
		c.keyHeader = "Authorization"
	}
	if c.http == nil {
		c.http = &http.Client{
			Transport: &http.Transport{
				Proxy:                 http.ProxyFromEnvironment,
				DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
				TLSHandshakeTimeout:   5 * time.Second,
				IdleConnTimeout:       idleBelowLiteLLM,
				MaxIdleConnsPerHost:   8,
				MaxConnsPerHost:       16,
				ResponseHeaderTimeout: c.timeout,
			},
			// A redirect would carry the credential to where it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return c
}

// HasMasterKey reports whether calls on LiteLLM's own authority are possible.
func (c *Client) HasMasterKey() bool { return c.master != "" }

// errNoMasterKey is what a call that needs the master key gets without one.
var errNoMasterKey = fmt.Errorf("%w: litellm.master_key is not set", ErrRejected)

// call is one request.
type call struct {
	method     string
	path       string
	query      url.Values
	credential string // empty: none is sent
	body       any    // JSON; nil: none
	most       int64  // bytes of answer; 0: mostAnswer
}

// answer is what came back with a status below 400.
type answer struct {
	header http.Header
	body   []byte
}

// withMaster sends a call with the master key.
func (c *Client) withMaster(ctx context.Context, k call, into any) error {
	if c.master == "" {
		return fmt.Errorf("litellm: %s %s: %w", k.method, k.path, errNoMasterKey)
	}
	k.credential = c.master
	return c.json(ctx, k, into)
}

// json sends a call and decodes its answer.
func (c *Client) json(ctx context.Context, k call, into any) error {
	a, err := c.send(ctx, k)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		// The cause quotes the answer, which can hold anything: only its kind is told.
		return fmt.Errorf("litellm: %s %s: %w: answer of %d bytes is not the JSON that LiteLLM sends (%T)",
			k.method, k.path, ErrUnavailable, len(a.body), err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, k call) (answer, error) {
	op := k.method + " " + k.path
	within, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	req, err := c.request(within, k)
	if err != nil {
		return answer{}, fmt.Errorf("litellm: %s: %w", op, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.trouble(ctx, within, op, err)
	}
	defer resp.Body.Close()
	most := k.most
	if most == 0 {
		most = mostAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return answer{}, c.trouble(ctx, within, op, err)
	}
	if int64(len(body)) > most {
		return answer{}, fmt.Errorf("litellm: %s: %w: answer is larger than %d bytes", op, ErrUnavailable, most)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return answer{header: resp.Header, body: body}, statusError(op, resp.StatusCode, body)
	}
	return answer{header: resp.Header, body: body}, nil
}

var errTimeout = errors.New("no answer in time")

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	var body io.Reader
	if k.body != nil {
		b, err := json.Marshal(k.body)
		if err != nil {
			return nil, fmt.Errorf("encode body: %w", err)
		}
		body = bytes.NewReader(b)
	}
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, errors.New("litellm.url is no URL that can be called; it looks like http://127.0.0.1:4000")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "pursestring")
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k.credential != "" {
		req.Header.Set(c.keyHeader, "Bearer "+k.credential)
	}
	return req, nil
}

// trouble says what a failed exchange means. The URL inside a url.Error can hold
// userinfo, so only its cause is kept.
func (c *Client) trouble(caller, within context.Context, op string, err error) error {
	if caller.Err() != nil && errors.Is(caller.Err(), context.Canceled) {
		return fmt.Errorf("litellm: %s: %w", op, context.Cause(caller))
	}
	if within.Err() != nil {
		return fmt.Errorf("litellm: %s: %w: %w", op, ErrUnavailable, context.Cause(within))
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("litellm: %s: %w: %w", op, ErrUnavailable, err)
}

// keyLike finds what could be a credential in a text of LiteLLM's.
var keyLike = regexp.MustCompile(`sk-[A-Za-z0-9_.\-]+`)

func statusError(op string, status int, body []byte) error {
	e := &StatusError{Op: op, Status: status}
	errorFields(body, &e.Message, &e.Type)
	// LiteLLM echoes its callers: masked in 1.106, in clear in older versions.
	e.Message = keyLike.ReplaceAllString(clip(e.Message, 200), "sk-…")
	e.Type = keyLike.ReplaceAllString(clip(e.Type, 60), "sk-…")
	switch {
	case e.Type == "no_db_connection", status >= 500, status == http.StatusTooManyRequests:
		e.kind = ErrUnavailable
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.kind = ErrRejected
		e.Message = "" // about the credential, and nothing that the type does not say
	case status == http.StatusNotFound:
		e.kind = ErrNotFound
	case status < 400:
		e.kind = ErrUnavailable // a redirect is not LiteLLM's API
	}
	return e
}

func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
