package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pursestring/pursestring/config"
)

const metricsPath = "/metrics"

// opsPaths is everything that the ops handler serves.
var opsPaths = []string{livePath, readyPath, metricsPath}

// NewOps returns a handler for /healthz, /readyz and /metrics, and for nothing
// else: for ops.listen, for the data plane's own port, and as a part of the admin
// API. When metricsToken is set, /metrics asks for it as a bearer token.
func NewOps(h *Health, metrics prometheus.Gatherer, metricsToken config.Secret) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+livePath, h.live)
	mux.HandleFunc("GET "+readyPath, h.isReady)
	mux.Handle("GET "+metricsPath, withToken(metricsToken, promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		// A collector in trouble must not hide the others.
		ErrorHandling: promhttp.ContinueOnError,
	})))
	return mux
}

// withToken asks for a bearer token, if one is set.
func withToken(token config.Secret, next http.Handler) http.Handler {
	if !token.IsSet() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !sameSecret(bearer(r.Header.Get("Authorization")), token) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			writeProblem(w, http.StatusUnauthorized, "the metrics ask for a token: send Authorization: Bearer TOKEN, with the one of admin.metrics_token")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameSecret compares in constant time, whatever the lengths. A secret that is
// not set equals nothing.
func sameSecret(presented string, secret config.Secret) bool {
	a, b := sha256.Sum256([]byte(presented)), sha256.Sum256([]byte(secret.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && secret.IsSet()
}
