package main

import (
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds the scrapes that are answered at a time; others get 503.
const maxScrapes = 4

// metricsServer answers Prometheus at /metrics. Nil: nobody asked for it.
type metricsServer struct {
	listener net.Listener
	http     http.Server
	group    sync.WaitGroup
}

// listenMetrics takes the address of --metrics, and answers nobody yet. nil: there is none.
func listenMetrics(o *options) (*metricsServer, error) {
	if o.Metrics == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", string(o.Metrics))
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w (name another port)", err)
	}
	return &metricsServer{listener: l}, nil
}

// url is where the metrics are; empty: there are none.
func (m *metricsServer) url() string {
	if m == nil {
		return ""
	}
	return "http://" + m.listener.Addr().String() + "/metrics"
}

// serve begins to answer with what report says.
func (m *metricsServer) serve(report func() report, log *slog.Logger) {
	if m == nil {
		return
	}
	quiet := stdlog.New(io.Discard, "", 0)
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(report), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: quiet, MaxRequestsInFlight: maxScrapes}))
	m.http = http.Server{
		Handler:           mux,
		ReadHeaderTimeout: controlRead,
		ReadTimeout:       controlRead,
		WriteTimeout:      controlWrite,
		MaxHeaderBytes:    controlHead,
		ErrorLog:          quiet,
	}
	log.Info("metrics", "at", m.url())
	m.group.Go(func() {
		if err := m.http.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("the metrics are gone (mount it anew)", "err", err)
		}
	})
}

// close ends it, scrapes under way too.
func (m *metricsServer) close() {
	if m == nil {
		return
	}
	m.http.Close()
	m.listener.Close()
	m.group.Wait()
}
