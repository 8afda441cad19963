package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/pursestring/pursestring/admin"
)

// serveHTTP serves a port of the control plane and returns its address.
func (s *server) serveHTTP(name, key, address string, h http.Handler) (string, error) {
	ln, err := listen(key, address)
	if err != nil {
		return "", err
	}
	server := admin.NewHTTPServer(h, s.log)
	s.life.serve(name, func() error {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, func(ctx context.Context) error { return shutdownHTTP(ctx, server) })
	return ln.Addr().String(), nil
}

// httpPatience is how long an answer of the control plane may still take.
const httpPatience = 3 * time.Second

func shutdownHTTP(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, httpPatience)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}

func listen(key, address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", key, address, err)
	}
	return ln, nil
}
