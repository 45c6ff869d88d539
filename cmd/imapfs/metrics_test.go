package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"imapfs/cache"
)

func TestMetricsAreOfPrometheusConventions(t *testing.T) {
	t.Parallel()
	r := fullReport()
	c := newCollector(func() report { return r })
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if n := testutil.CollectAndCount(c); n != len(metrics)+2 { // what tells of news has three values
		t.Errorf("%d values of %d metrics", n, len(metrics))
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}

// fullReport has each number that metrics tell of, and none twice.
func fullReport() report {
	at := func(n int64) time.Time { return time.UnixMilli(n * 1000) }
	r := report{MountPoint: "/m", Account: "a@h", Version: "v", Requests: 101, Failures: 102, BWLimit: 103}
	r.Since, r.DownSince, r.RestingUntil = at(104), at(105), at(106)
	r.Connections = []cache.ConnectionStatus{{RoundTrip: 0.25}, {}, {RoundTrip: 0.125}}
	r.MaxConnections, r.Waiting, r.Opened, r.In, r.Out, r.Commands, r.RoundTrips, r.Throttled = 107, 108, 109, 110, 111, 112, 113, 114
	r.Day = &cache.Day{In: 115, Out: 116, Limit: 217}
	r.Cache = cache.CacheStatus{Octets: 118, Limit: 119, CacheUse: cache.CacheUse{Hits: 120, Misses: 121, Served: 122, Texts: 123, Fetched: 124},
		Ahead: cache.AheadStatus{Fetched: 125, Unused: 126, Unread: 127}}
	r.Tree = cache.TreeStatus{Mailboxes: 128, Messages: 129, Checked: at(130)}
	r.Mailboxes = []cache.MailboxStatus{
		{By: cache.ByIDLE, Fresh: true, Loaded: true, Checked: at(132)}, {By: cache.ByIDLE, Loaded: true, Checked: at(131)}, {By: cache.ByPoll, Fresh: true},
	}
	r.Pending = cache.PendingStatus{Texts: 133, Octets: 134, Oldest: at(135)}
	return r
}

// scrape is what Prometheus gets of a report.
func scrape(t *testing.T, r report) string {
	t.Helper()
	m, err := listenMetrics(&options{Metrics: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	m.serve(func() report { return r }, slog.New(slog.DiscardHandler))
	defer m.close()
	answer, err := http.Get(m.url())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", answer.Status, err, text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(bytes.NewReader(text)); err != nil {
		t.Errorf("it cannot be parsed: %v", err)
	}
	return string(text)
}

func TestEachMetricIsItsNumberOfTheReport(t *testing.T) {
	t.Parallel()
	r := fullReport()
	got := make(map[string]string)
	for line := range strings.Lines(scrape(t, r)) {
		if name, number, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(line, "imapfs_") {
			got[name] = number
		}
	}
	want := map[string]string{
		`imapfs_info{account="a@h",mountpoint="/m",version="v"}`: "1",
		"imapfs_start_timestamp_seconds":                         "104", "imapfs_server_up": "0", "imapfs_connections": "3", "imapfs_connections_limit": "107",
		"imapfs_connections_waiting": "108", "imapfs_connections_opened_total": "109", "imapfs_received_bytes_total": "110",
		"imapfs_sent_bytes_total": "111", "imapfs_commands_total": "112", "imapfs_round_trips_total": "113", "imapfs_round_trip_seconds": "0.125",
		"imapfs_throttled_total": "114", "imapfs_throttled": "1", "imapfs_bandwidth_limit_bytes": "103", "imapfs_day_received_bytes": "115",
		"imapfs_day_sent_bytes": "116", "imapfs_day_limit_bytes": "217", "imapfs_day_left_bytes": "102", "imapfs_cache_bytes": "118",
		"imapfs_cache_limit_bytes": "119", "imapfs_cache_hits_total": "120", "imapfs_cache_misses_total": "121", "imapfs_cache_read_bytes_total": "122",
		"imapfs_texts_fetched_total": "123", "imapfs_texts_fetched_bytes_total": "124", "imapfs_read_ahead_bytes_total": "125",
		"imapfs_read_ahead_unused_bytes_total": "126", "imapfs_read_ahead_unread_bytes": "127", "imapfs_mailboxes": "128", "imapfs_messages": "129",
		"imapfs_tree_checked_timestamp_seconds": "130", `imapfs_mailboxes_in_use{news="IDLE"}`: "2", `imapfs_mailboxes_in_use{news="NOTIFY"}`: "0",
		`imapfs_mailboxes_in_use{news="poll"}`: "1", "imapfs_mailboxes_fresh": "2", "imapfs_mailboxes_checked_timestamp_seconds": "131",
		"imapfs_pending_texts": "133", "imapfs_pending_bytes": "134", "imapfs_pending_oldest_timestamp_seconds": "135",
		"imapfs_fuse_requests_total": "101", "imapfs_fuse_failures_total": "102",
	}
	for name, number := range want {
		if got[name] != number {
			t.Errorf("%s is %q, want %s", name, got[name], number)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("not expected: %v", got)
	}
}

func TestWhatIsNotKnownIsNotTold(t *testing.T) {
	t.Parallel()
	text := scrape(t, report{})
	if !strings.Contains(text, "imapfs_pending_texts 0\n") {
		t.Fatal(text)
	}
	for _, name := range []string{"imapfs_day", "imapfs_bandwidth", "imapfs_round_trip_seconds", "_oldest_", "imapfs_mailboxes_checked"} {
		if strings.Contains(text, name) {
			t.Errorf("%s is told of an empty report", name)
		}
	}
}

func TestMetricsAddr(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"9143": "127.0.0.1:9143", ":9143": "127.0.0.1:9143", "0": "127.0.0.1:0", "0.0.0.0:9143": "0.0.0.0:9143", "[::1]:9143": "[::1]:9143",
		"[::]:1": "[::]:1", "localhost:9143": "localhost:9143", "": "", ":": "", "host": "", "host:": "", "::1": "", "1:http": "", "65536": "", "-1": "",
	} {
		var a metricsAddr
		if err := a.Set(in); (err == nil) != (want != "") || a.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, a, err, want)
		}
	}
}

func TestMetricsEnd(t *testing.T) {
	t.Parallel()
	var none *metricsServer
	none.serve(nil, nil)
	none.close()
	m, err := listenMetrics(&options{Metrics: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if other, err := listenMetrics(&options{Metrics: metricsAddr(m.listener.Addr().String())}); err == nil {
		t.Errorf("one address for two: %s", other.url())
	}
	m.serve(func() report { return report{} }, slog.New(slog.DiscardHandler))
	m.close()
	if _, err := http.Get(m.url()); err == nil {
		t.Error("it answers after its end")
	}
	m.close()
}
