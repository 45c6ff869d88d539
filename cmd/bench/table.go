package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// A table is what a run has found.
type table struct {
	rows   []row
	missed int // gates
}

// A row is one ratio, or one count.
type row struct {
	work, rtt    string
	ours, theirs string
	ratio, most  float64
	gate         bool // fails the run when it is missed
}

// compare notes a time beside another; it is told and fails nothing.
func (t *table) compare(work string, rtt time.Duration, ours, theirs time.Duration, against string, most float64) {
	t.add(row{work: work, rtt: rtt.String(), ours: seconds(ours), theirs: seconds(theirs) + " " + against,
		ratio: ours.Seconds() / max(theirs.Seconds(), 1e-9), most: most})
}

// count notes what must not be more than something.
func (t *table) count(work string, rtt time.Duration, ours float64, what string, most float64) {
	t.add(row{work: work, rtt: rtt.String(), ours: number(ours) + " " + what, ratio: ours, most: most, gate: true})
}

// note says what was seen, which has no target.
func (t *table) note(work string, rtt time.Duration, s sample) {
	t.add(row{work: work, rtt: rtt.String(), ours: fmt.Sprintf("%s, daemon %s, %d round trips, %d commands, %.1f MB, %d requests, RSS %d MB",
		seconds(s.wall), seconds(s.cpu), s.turns, s.lines, float64(s.down)/1e6, s.requests, s.rss>>20)})
}

func (t *table) add(r row) {
	if r.gate && r.ratio > r.most {
		t.missed++
	}
	t.rows = append(t.rows, r)
}

func (t *table) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORK\tRTT\tIMAPFS\tAGAINST\tRATIO\tTARGET\t")
	for _, r := range t.rows {
		ratio, target, verdict := "", "", ""
		if r.most > 0 {
			ratio, target = number(r.ratio), "≤ "+number(r.most)
			switch {
			case r.ratio <= r.most:
				verdict = "yes"
			case r.gate:
				verdict = "MISSED"
			default:
				verdict = "no"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.work, r.rtt, r.ours, r.theirs, ratio, target, verdict)
	}
	w.Flush()
	if t.missed > 0 {
		fmt.Fprintf(to, "\n%d counts are over their targets\n", t.missed)
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func number(f float64) string {
	if f >= 100 || f == float64(int64(f)) {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// samples are those of one piece of work.
type samples []sample

// median takes it of each figure by itself, of the RSS the most.
func (all samples) median() sample {
	return sample{
		wall:     middle(all, func(s sample) time.Duration { return s.wall }),
		cpu:      middle(all, func(s sample) time.Duration { return s.cpu }),
		turns:    middle(all, func(s sample) int64 { return s.turns }),
		down:     middle(all, func(s sample) int64 { return s.down }),
		lines:    middle(all, func(s sample) int64 { return s.lines }),
		requests: middle(all, func(s sample) int64 { return s.requests }),
		rss:      slices.MaxFunc(all, func(a, b sample) int { return cmp.Compare(a.rss, b.rss) }).rss,
	}
}

func middle[T cmp.Ordered](all samples, of func(sample) T) T {
	values := make([]T, len(all))
	for i, s := range all {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// times are wall times of one piece of work.
func times(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
