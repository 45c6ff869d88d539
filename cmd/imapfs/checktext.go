package main

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// write writes a report for people.
func (r *checkReport) write(w *bytes.Buffer) error {
	fmt.Fprintf(w, "%s at %s\n", oneLine(r.Account), oneLine(r.Server))
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(cells ...string) {
		for i, c := range cells {
			cells[i] = cut(oneLine(c), maxCell)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	row("TLS", r.TLS.String())
	if r.TLS != nil {
		row("certificate", r.TLS.Certificate.String())
	}
	row("login", r.Login.String())
	row("round trip", fmt.Sprintf("%s, the median of %d; the longest took %s", roundTrip(r.RoundTrip.Median), r.RoundTrip.Count, roundTrip(r.RoundTrip.Longest)))
	row("mailboxes", r.Mailboxes.String())
	row("rm", r.Removal.Says)
	table.Flush()

	w.WriteByte('\n')
	row("CAPABILITY", "OFFERED", "GIVES")
	for _, c := range r.Capabilities {
		has := "no"
		if c.Offered {
			has = "yes"
		}
		row(c.Name, has, c.Gives)
	}
	table.Flush()
	if len(r.Unused) > 0 {
		fmt.Fprintf(w, "of no use here: %s\n", cut(oneLine(strings.Join(r.Unused, " ")), maxCell))
	}
	section(w, "SLOW", r.Slow)
	notes := r.Notes
	for _, d := range r.Doubles {
		but := ""
		if d.Use == `\All` {
			but = " (and some that no other may hold: what was archived)"
		}
		notes = append(notes, fmt.Sprintf("%s, which is %s, holds messages that other mailboxes hold, too%s: --exclude %s leaves it out", d.Mailbox, d.Use, but, quoted(d.Exclude)))
	}
	section(w, "NOTE", notes)
	return nil
}

// section writes lines under a heading, if there are any.
func section(w *bytes.Buffer, heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", heading)
	for _, l := range lines {
		fmt.Fprintln(w, cut(oneLine(l), maxCell))
	}
}

// quoted is an argument as a shell takes it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (t *checkedTLS) String() string {
	if t == nil {
		return "none"
	}
	return t.Version + ", " + t.CipherSuite
}

func (c checkedCertificate) String() string {
	return fmt.Sprintf("for %s, by %s, until %s: %s left", strings.Join(c.Names, ", "), c.Issuer, c.Until.UTC().Format(time.DateOnly), counted(c.DaysLeft, "day"))
}

func (l checkedLogin) String() string {
	if l.Mechanism == "" {
		return "none: the server had logged us in"
	}
	return l.Mechanism + ", of " + strings.Join(l.Offered, ", ")
}

func (m checkedMailboxes) String() string {
	s := fmt.Sprintf("%d, with %s", m.Shown, counted(m.Messages, "message"))
	switch {
	case m.Octets != nil:
		s += " of " + size(*m.Octets)
	case m.Messages > 0:
		s += " (their size is not told)"
	}
	if m.Most > 0 {
		s += fmt.Sprintf("; %d in %s", m.Most, m.Largest)
	}
	if m.Because != "" {
		s += fmt.Sprintf("; that is of %d that were asked: %s", m.Asked, m.Because)
	}
	if m.Refused > 0 {
		s += fmt.Sprintf("; of %d the server says nothing", m.Refused)
	}
	return s
}
