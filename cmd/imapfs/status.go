package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"imapfs/cache"
	"imapfs/fs"
)

// report is the answer to /status, and a line of status --json.
type report struct {
	MountPoint string    `json:"mountpoint"`
	Account    string    `json:"account"` // user@host
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	Time       time.Time `json:"time"` // when it was made
	Goroutines int       `json:"goroutines"`
	Requests   int64     `json:"requests"`         // of the kernel's, since it was mounted
	Failures   int64     `json:"failures"`         // of those that have failed, for causes as Errors has them
	BWLimit    int64     `json:"bwlimit,omitzero"` // --bwlimit, octets a second each way; 0: none
	Metrics    string    `json:"metrics,omitzero"` // where Prometheus finds them
	cache.Status
	Errors []fs.Cause `json:"errors"` // the last ten, the newest last
}

func newStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [flags] [MOUNTPOINT]",
		Short: "says what a mount is doing",
		Long: `Says what a mount is doing: its connections, how fresh each mailbox is that was
looked into during the last ten minutes, how full its cache is, what it has moved,
what the server does not have yet, and what failed last. Without MOUNTPOINT, for all
mounts of this user. Nothing is asked of the server for it.`,
		Example: "  imapfs status ~/mail\n  imapfs status --json | jq .mailboxes",
		Args:    oneAtMost,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one line of JSON for each mount")
	c.RunE = func(c *cobra.Command, args []string) error {
		show := showTable
		if asJSON {
			show = showJSON
		}
		first := true
		return askEach(strings.Join(args, ""), func(m *mounted) error {
			ctx, cancel := context.WithTimeout(c.Context(), 2*askLimit)
			defer cancel()
			return m.ask(ctx, http.MethodGet, "/status", nil, func(r io.Reader) error {
				answer, err := io.ReadAll(io.LimitReader(r, maxAnswer))
				if err != nil {
					return err
				}
				var out bytes.Buffer
				if !first && !asJSON {
					out.WriteByte('\n')
				}
				if err := show(&out, answer); err != nil {
					return err
				}
				first = false
				_, err = c.OutOrStdout().Write(out.Bytes())
				return err
			})
		})
	}
	return c
}

func showJSON(w *bytes.Buffer, answer []byte) error {
	if err := json.Compact(w, answer); err != nil {
		return err
	}
	w.WriteByte('\n')
	return nil
}

// A table is for people: --json has it all.
const (
	maxRows = 40  // mailboxes
	maxCell = 300 // octets
)

func showTable(w *bytes.Buffer, answer []byte) error {
	var r report
	if err := json.Unmarshal(answer, &r); err != nil {
		return err
	}
	ago := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return span(r.Time.Sub(t)) + " ago"
	}
	fmt.Fprintf(w, "%s at %s\n", oneLine(r.Account), oneLine(r.MountPoint))
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(cells ...string) {
		for i, c := range cells {
			cells[i] = cut(oneLine(c), maxCell)
		}
		fmt.Fprintln(table, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	row("daemon", fmt.Sprintf("process %d, version %s, mounted %s", r.PID, r.Version, ago(r.Since)))
	if r.DownSince.IsZero() {
		row("server", fmt.Sprintf("%d of %d connections, waiting for one: %d", len(r.Connections), r.MaxConnections, r.Waiting))
	} else {
		row("server", fmt.Sprintf("not reached for %s: %s", span(r.Time.Sub(r.DownSince)), r.Down))
	}
	if !r.RestingUntil.IsZero() {
		row("slowed down", fmt.Sprintf("for %s: %s", span(r.RestingUntil.Sub(r.Time)), r.Resting))
	}
	if p := r.Pending; p.Texts > 0 {
		texts := "1 text"
		if p.Texts > 1 {
			texts = fmt.Sprintf("%d texts", p.Texts)
		}
		row("not sent", fmt.Sprintf("%s of %s, the oldest %s old: %s (imapfs pending lists them)", texts, size(p.Octets), span(r.Time.Sub(p.Oldest)), cmp.Or(p.Error, "on the way")))
	}
	limit := ""
	if r.BWLimit > 0 {
		limit = fmt.Sprintf(", at most %s a second each way", size(r.BWLimit))
	}
	row("traffic", fmt.Sprintf("%s in, %s out%s; %s in %s", size(r.In), size(r.Out), limit, counted(int(r.Commands), "command"), counted(int(r.RoundTrips), "round trip")))
	if d := r.Day; d != nil {
		cells := fmt.Sprintf("%s in, %s out", size(d.In), size(d.Out))
		if d.Limit > 0 {
			cells += fmt.Sprintf(", of %s: %s left", size(d.Limit), size(max(0, d.Limit-d.In)))
		}
		if !d.Until.IsZero() {
			cells += fmt.Sprintf(", spent until %s", d.Until.Local().Format("15:04"))
		}
		row("in 24 hours", cells)
	}
	row("tree", fmt.Sprintf("%d mailboxes, listed %s", r.Tree.Mailboxes, ago(r.Tree.Checked)))
	row("index", fmt.Sprintf("%d messages, in %d mailboxes looked into lately", r.Tree.Messages, r.LookedAt))
	row("cache", fmt.Sprintf("%s of %s; %d opens and reads answered from it, %d not", size(r.Cache.Octets), size(r.Cache.Limit), r.Cache.Hits, r.Cache.Misses))
	row("fetched", fetched(r.Cache))
	row("kernel", fmt.Sprintf("%s, %d failed", counted(int(r.Requests), "request"), r.Failures))
	if r.Metrics != "" {
		row("metrics", r.Metrics)
	}
	table.Flush()

	if len(r.Connections) > 0 {
		w.WriteByte('\n')
		row("CONNECTION", "TLS", "MAILBOX", "USE", "SINCE", "IN", "OUT", "ROUND TRIP")
	}
	for _, c := range r.Connections {
		row(c.Addr, layers(c), cmp.Or(c.Mailbox, "-"), use(c), span(r.Time.Sub(c.Since)), size(c.In), size(c.Out), roundTrip(c.RoundTrip))
	}
	table.Flush()

	if len(r.Mailboxes) > 0 {
		w.WriteByte('\n')
		row("MAILBOX", "MESSAGES", "CHECKED", "NEWS BY", "LOOKED INTO")
	}
	for _, m := range r.Mailboxes[:min(len(r.Mailboxes), maxRows)] {
		messages, checked := "-", ago(m.Checked)
		if m.Loaded {
			messages = fmt.Sprint(m.Messages)
		}
		if m.Loaded && !m.Fresh {
			checked += ", not fresh"
		}
		row(m.Name, messages, checked, m.By, ago(m.LookedInto))
	}
	table.Flush()
	if more := r.LookedAt - maxRows; more > 0 {
		fmt.Fprintf(w, "and %d more (--json has a thousand)\n", more)
	}

	if len(r.Errors) > 0 {
		w.WriteByte('\n')
		row("FAILED", "TIMES", "ERROR", "CAUSE")
	}
	for _, e := range r.Errors {
		row(ago(e.Last), fmt.Sprint(e.Count), e.Errno, e.Text)
	}
	return table.Flush()
}

// fetched says what texts have come, and how many of them before anybody wanted them.
func fetched(c cache.CacheStatus) string {
	s := fmt.Sprintf("%s, %s; read ahead %s", counted(int(c.Texts), "text"), size(c.Fetched), size(c.Ahead.Fetched))
	for _, part := range []struct {
		octets int64
		is     string
	}{{c.Ahead.Unused, "not used"}, {c.Ahead.Unread, "not read yet"}, {c.Ahead.InFlight, "more on the way"}} {
		if part.octets > 0 {
			s += fmt.Sprintf(", %s %s", size(part.octets), part.is)
		}
	}
	return s
}

// layers says what is between IMAP and TCP.
func layers(c cache.ConnectionStatus) string {
	tls := cmp.Or(c.TLS, "none")
	if c.Compressed {
		return tls + ", DEFLATE"
	}
	return tls
}

// use says what a connection is used for.
func use(c cache.ConnectionStatus) string {
	switch {
	case c.Users > 0:
		return fmt.Sprintf("%d at work", c.Users)
	case c.Notices:
		return "NOTIFY"
	case c.Idling:
		return "IDLE"
	}
	return "none"
}

func roundTrip(seconds float64) string {
	if seconds <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", 1000*seconds)
}

// span is a time for people: its largest unit, and from an hour on the next.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d/time.Hour), int(d%time.Hour/time.Minute))
	}
	return fmt.Sprintf("%dd%02dh", int(d/(24*time.Hour)), int(d%(24*time.Hour)/time.Hour))
}

// size is a number of octets for people, in the units of --cache-size.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	v, unit := float64(n)/1024, 1
	for v >= 1000 && unit < len(octetUnits)-1 {
		v /= 1024
		unit++
	}
	if v < 10 {
		return fmt.Sprintf("%.1f%s", v, octetUnits[unit].letter)
	}
	return fmt.Sprintf("%.0f%s", v, octetUnits[unit].letter)
}

// newReport is what a mount is doing now, secrets blanked: a server or a program
// that gives the password may have repeated it.
func newReport(o *options, account *cache.Account, server *fs.Server, metrics *metricsServer, s *secrets) report {
	r := report{
		MountPoint: o.MountPoint, Account: o.name(), PID: os.Getpid(), Version: version(), Time: time.Now(),
		Goroutines: runtime.NumGoroutine(),
		Requests:   server.Requests(), Failures: server.Failures(),
		BWLimit: int64(o.BWLimit), Metrics: metrics.url(),
		Status: account.Status(), Errors: server.Causes(),
	}
	short := func(text string) string { return cut(s.blank(text), logOctets) }
	r.Down, r.Resting, r.Pending.Error = short(r.Down), short(r.Resting), short(r.Pending.Error)
	for i := range r.Errors {
		r.Errors[i].Text = short(r.Errors[i].Text)
	}
	return r
}
