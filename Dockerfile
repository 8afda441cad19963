# syntax=docker/dockerfile:1

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=container
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/pursestring ./cmd/pursestring
RUN mkdir -p /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build /out/pursestring /pursestring
# No user but root has a name here; a number needs none.
COPY --from=build --chown=65532:65532 /out/data /var/lib/pursestring
USER 65532:65532
WORKDIR /var/lib/pursestring
VOLUME /var/lib/pursestring

# The admin port stays on loopback until admin.tokens are given: it refuses to
# start on another address without them. Probes and Prometheus use the ops port
# (/healthz, /readyz, /metrics).
ENV ZONEINFO=/zoneinfo.zip \
    PURSESTRING_PROXY_LISTEN=0.0.0.0:8400 \
    PURSESTRING_OPS_LISTEN=0.0.0.0:8402 \
    PURSESTRING_STORE_URL=sqlite:/var/lib/pursestring/pursestring.db
EXPOSE 8400 8402
ENTRYPOINT ["/pursestring"]
CMD ["serve"]
