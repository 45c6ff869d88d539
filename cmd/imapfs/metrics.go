package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"imapfs/cache"
)

// A metric is a number of a report, for Prometheus. Names are of its conventions: the unit
// in the name, _total for what only grows.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	values     func(*report) []value
}

// value is a number under the values of the metric's labels.
type value struct {
	number float64
	labels []string
}

// metrics are all that --metrics tells beside what the process is.
var metrics = []metric{
	{"imapfs_info", "What is mounted, by which version; always 1.", prometheus.GaugeValue, []string{"account", "mountpoint", "version"},
		func(r *report) []value { return []value{{1, []string{r.Account, r.MountPoint, r.Version}}} }},
	gauge("imapfs_start_timestamp_seconds", "When the account was opened.", func(r *report) float64 { return seconds(r.Since) }),
	gauge("imapfs_server_up", "1 where the server can be reached, as far as anybody has tried.", func(r *report) float64 { return truth(r.DownSince.IsZero()) }),

	gauge("imapfs_connections", "Connections to the server.", func(r *report) float64 { return float64(len(r.Connections)) }),
	gauge("imapfs_connections_limit", "How many there may be, as the server lets us have them.", func(r *report) float64 { return float64(r.MaxConnections) }),
	gauge("imapfs_connections_waiting", "Requests that wait for a connection.", func(r *report) float64 { return float64(r.Waiting) }),
	counter("imapfs_connections_opened_total", "Connections that were made.", func(r *report) int64 { return r.Opened }),
	counter("imapfs_received_bytes_total", "Octets that came from the server, on the wire.", func(r *report) int64 { return r.In }),
	counter("imapfs_sent_bytes_total", "Octets that went to the server, on the wire.", func(r *report) int64 { return r.Out }),
	counter("imapfs_commands_total", "Commands that were sent.", func(r *report) int64 { return r.Commands }),
	counter("imapfs_round_trips_total", "Commands that were sent while none was unanswered on their connection.", func(r *report) int64 { return r.RoundTrips }),
	{"imapfs_round_trip_seconds", "The kernel's estimate of a round trip to the server: the shortest of those of the connections.", prometheus.GaugeValue, nil, shortestRoundTrip},

	counter("imapfs_throttled_total", "How often the server has wanted less to do.", func(r *report) int64 { return r.Throttled }),
	gauge("imapfs_throttled", "1 while the server is left alone, as it wants.", func(r *report) float64 { return truth(!r.RestingUntil.IsZero()) }),
	optional("imapfs_bandwidth_limit_bytes", "--bwlimit, octets a second each way.", func(r *report) (float64, bool) { return float64(r.BWLimit), r.BWLimit > 0 }),
	optional("imapfs_day_received_bytes", "Octets that came in 24 hours, to all mounts of the account.", ofDay(func(d *cache.Day) (float64, bool) { return float64(d.In), true })),
	optional("imapfs_day_sent_bytes", "Octets that went in 24 hours, from all mounts of the account.", ofDay(func(d *cache.Day) (float64, bool) { return float64(d.Out), true })),
	optional("imapfs_day_limit_bytes", "--daily-limit.", ofDay(func(d *cache.Day) (float64, bool) { return float64(d.Limit), d.Limit > 0 })),
	optional("imapfs_day_left_bytes", "What may come yet of --daily-limit.", ofDay(func(d *cache.Day) (float64, bool) { return float64(max(0, d.Limit-d.In)), d.Limit > 0 })),

	gauge("imapfs_cache_bytes", "Octets of texts in memory.", func(r *report) float64 { return float64(r.Cache.Octets) }),
	gauge("imapfs_cache_limit_bytes", "How many there may be.", func(r *report) float64 { return float64(r.Cache.Limit) }),
	counter("imapfs_cache_hits_total", "Opens and reads that were answered from memory.", func(r *report) int64 { return r.Cache.Hits }),
	counter("imapfs_cache_misses_total", "Opens and reads that had to wait for the server.", func(r *report) int64 { return r.Cache.Misses }),
	counter("imapfs_cache_read_bytes_total", "Octets that were read from memory.", func(r *report) int64 { return r.Cache.Served }),
	counter("imapfs_texts_fetched_total", "Texts that were fetched, whole or the beginning of a large one.", func(r *report) int64 { return r.Cache.Texts }),
	counter("imapfs_texts_fetched_bytes_total", "Octets of texts and parts of texts that were fetched.", func(r *report) int64 { return r.Cache.Fetched }),
	counter("imapfs_read_ahead_bytes_total", "Octets of those that were asked for before anybody wanted them.", func(r *report) int64 { return r.Cache.Ahead.Fetched }),
	counter("imapfs_read_ahead_unused_bytes_total", "Octets of those that nobody came for.", func(r *report) int64 { return r.Cache.Ahead.Unused }),
	gauge("imapfs_read_ahead_unread_bytes", "Octets of those that nobody has come for yet.", func(r *report) float64 { return float64(r.Cache.Ahead.Unread) }),

	gauge("imapfs_mailboxes", "Mailboxes that are shown.", func(r *report) float64 { return float64(r.Tree.Mailboxes) }),
	gauge("imapfs_messages", "Messages in the mailboxes that have been looked into.", func(r *report) float64 { return float64(r.Tree.Messages) }),
	gauge("imapfs_tree_checked_timestamp_seconds", "When the server was asked for the mailboxes last.", func(r *report) float64 { return seconds(r.Tree.Checked) }),
	{"imapfs_mailboxes_in_use", "Mailboxes that were looked into in the last ten minutes, by what tells of news in them; a thousand at most.", prometheus.GaugeValue, []string{"news"}, inUse},
	gauge("imapfs_mailboxes_fresh", "Of those, the ones of which what is known is fresh.", func(r *report) float64 { return float64(fresh(r)) }),
	optional("imapfs_mailboxes_checked_timestamp_seconds", "Of those, when the one was checked that was not for the longest time.", leastChecked),

	gauge("imapfs_pending_texts", "Texts that the server does not have yet.", func(r *report) float64 { return float64(r.Pending.Texts) }),
	gauge("imapfs_pending_bytes", "Octets of those.", func(r *report) float64 { return float64(r.Pending.Octets) }),
	optional("imapfs_pending_oldest_timestamp_seconds", "Since when the oldest of those waits.", func(r *report) (float64, bool) { return seconds(r.Pending.Oldest), r.Pending.Texts > 0 }),

	counter("imapfs_fuse_requests_total", "Requests of the kernel's.", func(r *report) int64 { return r.Requests }),
	counter("imapfs_fuse_failures_total", "Requests of the kernel's that have failed, those among them that imapfs status has a cause of.", func(r *report) int64 { return r.Failures }),
}

func gauge(name, help string, number func(*report) float64) metric {
	return metric{name, help, prometheus.GaugeValue, nil, func(r *report) []value { return []value{{number: number(r)}} }}
}

func counter(name, help string, number func(*report) int64) metric {
	return metric{name, help, prometheus.CounterValue, nil, func(r *report) []value { return []value{{number: float64(number(r))}} }}
}

// optional is a gauge that is not always there.
func optional(name, help string, number func(*report) (float64, bool)) metric {
	return metric{name, help, prometheus.GaugeValue, nil, func(r *report) []value {
		if n, ok := number(r); ok {
			return []value{{number: n}}
		}
		return nil
	}}
}

func ofDay(number func(*cache.Day) (float64, bool)) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		if r.Day == nil {
			return 0, false
		}
		return number(r.Day)
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// seconds is a time as Prometheus has it, 0 where it is none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func shortestRoundTrip(r *report) []value {
	shortest := 0.0
	for _, c := range r.Connections {
		if c.RoundTrip > 0 && (shortest == 0 || c.RoundTrip < shortest) {
			shortest = c.RoundTrip
		}
	}
	if shortest == 0 {
		return nil
	}
	return []value{{number: shortest}}
}

func inUse(r *report) (all []value) {
	by := make(map[string]int)
	for _, m := range r.Mailboxes {
		by[m.By]++
	}
	for _, news := range []string{cache.ByIDLE, cache.ByNOTIFY, cache.ByPoll} {
		all = append(all, value{float64(by[news]), []string{news}})
	}
	return all
}

func fresh(r *report) (n int) {
	for _, m := range r.Mailboxes {
		if m.Fresh {
			n++
		}
	}
	return n
}

func leastChecked(r *report) (float64, bool) {
	var least time.Time
	for _, m := range r.Mailboxes {
		if m.Loaded && (least.IsZero() || m.Checked.Before(least)) {
			least = m.Checked
		}
	}
	return seconds(least), !least.IsZero()
}

// collector has Prometheus collect what a report says now.
type collector struct {
	report func() report
	descs  []*prometheus.Desc // of metrics, in their order
}

func newCollector(report func() report) *collector {
	c := &collector{report: report}
	for _, m := range metrics {
		c.descs = append(c.descs, prometheus.NewDesc(m.name, m.help, m.labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	r := c.report()
	for i, m := range metrics {
		for _, v := range m.values(&r) {
			to <- prometheus.MustNewConstMetric(c.descs[i], m.kind, v.number, v.labels...)
		}
	}
}
