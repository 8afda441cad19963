package admin

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// accessLog becomes the one line that a request leaves. It holds the route's
// pattern and never the path or the query: both may carry the webhook's token.
type accessLog struct {
	log     *slog.Logger
	request *http.Request
	began   time.Time
	actor   string
}

type accessLogKey struct{}

func beginLog(r *http.Request, log *slog.Logger) (*http.Request, *accessLog) {
	l := &accessLog{log: log, began: time.Now()}
	r = r.WithContext(context.WithValue(r.Context(), accessLogKey{}, l))
	l.request = r
	return r, l
}

// noteActor names the token's holder in the request's line.
func noteActor(ctx context.Context, name string) {
	if l, ok := ctx.Value(accessLogKey{}).(*accessLog); ok {
		l.actor = name
	}
}

func (l *accessLog) end(w *statusWriter) {
	level := slog.LevelInfo
	switch {
	case w.status >= http.StatusInternalServerError:
		level = slog.LevelWarn
	case w.status < http.StatusBadRequest && isNoise(l.request.Pattern):
		level = slog.LevelDebug
	}
	l.log.LogAttrs(l.request.Context(), level, "admin request",
		slog.String("method", clip(l.request.Method, 20)), slog.String("route", l.request.Pattern),
		slog.Int("status", w.status), slog.Duration("duration", time.Since(l.began)),
		slog.String("remote", l.request.RemoteAddr), slog.String("actor", l.actor),
		slog.String("tenant_id", shownID(l.request.PathValue("id"))))
}

// isNoise: what probes, Prometheus and LiteLLM ask again and again.
func isNoise(pattern string) bool {
	for _, p := range opsPaths {
		if strings.HasSuffix(pattern, p) {
			return true
		}
	}
	return strings.Contains(pattern, webhookPath)
}

// shownID hides a key that was sent where a tenant id belongs.
func shownID(id string) string {
	if strings.HasPrefix(id, "sk-") {
		return "[redacted]"
	}
	return clip(id, 256)
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
