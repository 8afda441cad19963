package admin

import (
	"embed"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed ui
var ui embed.FS

// registerPage serves the page at / with its two files. The page asks for a
// token and keeps it in its own memory.
func registerPage(mux *http.ServeMux) {
	for path, file := range map[string]string{"/{$}": "ui/index.html", "/ui/page.js": "ui/page.js", "/ui/page.css": "ui/page.css"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			h.Set("Referrer-Policy", "no-referrer")
			http.ServeFileFS(w, r, ui, file)
		})
	}
}

// registerDescription serves the API's description, made once from the types.
func (s *Server) registerDescription() {
	describe(s.api.OpenAPI(), http.MethodGet, livePath, "liveness", "health", "The process answers")
	ready := describe(s.api.OpenAPI(), http.MethodGet, readyPath, "readiness", "health",
		"Calls may be sent here; LiteLLM, ledger and store show in the body and keep nothing out")
	ready.Responses["503"] = &huma.Response{Description: "The process starts or drains"}
	describe(s.api.OpenAPI(), http.MethodGet, metricsPath, "metrics", "health", "Metrics for Prometheus; admin.metrics_token may ask for a token")

	yaml, err := s.api.OpenAPI().YAML()
	if err != nil {
		panic("BUG: the admin API cannot be described: " + err.Error())
	}
	json, err := s.api.OpenAPI().MarshalJSON()
	if err != nil {
		panic("BUG: the admin API cannot be described: " + err.Error())
	}
	s.mux.HandleFunc("GET /openapi.yaml", document("application/openapi+yaml", yaml))
	s.mux.HandleFunc("GET /openapi.json", document("application/openapi+json", json))
}

func document(contentType string, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(text) // the client may be gone
	}
}
