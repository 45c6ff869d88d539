package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	sampleEvery = 15 * time.Second
	// settled is how long a daemon may grow: its cache fills, its connections come.
	settled = 10 * time.Minute
)

// growth is what a daemon holds, over the time that a test takes.
type growth struct{ samples []held }

type held struct {
	after                        time.Duration
	goroutines, descriptors, rss int // rss in KiB
}

// sample looks again and again until stop.
func (g *growth) sample(t *testing.T, d *daemon, stop <-chan struct{}) {
	began := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-time.After(sampleEvery):
		}
		h := held{after: time.Since(began)}
		out, err := exec.Command("imapfs", "status", "--json", d.dir).Output()
		var r report
		if err == nil {
			err = json.Unmarshal(out, &r)
		}
		if err != nil {
			t.Errorf("imapfs status: %v: %s", err, out)
			continue
		}
		h.goroutines = r.Goroutines
		proc := fmt.Sprintf("/proc/%d/", d.cmd.Process.Pid)
		fds, err := os.ReadDir(proc + "fd")
		if err != nil {
			t.Errorf("%v", err)
		}
		h.descriptors = len(fds)
		status, _ := os.ReadFile(proc + "status")
		if _, rss, ok := strings.Cut(string(status), "VmRSS:"); ok {
			h.rss, _ = strconv.Atoi(strings.Fields(rss)[0])
		}
		g.samples = append(g.samples, h)
	}
}

// judge wants no more to be held in the last third of the time after it has
// settled than in the first.
func (g *growth) judge(t *testing.T) {
	for i, h := range g.samples {
		if i%max(1, len(g.samples)/12) == 0 {
			t.Logf("after %v: %d goroutines, %d descriptors, %d MiB", h.after.Round(time.Second), h.goroutines, h.descriptors, h.rss>>10)
		}
	}
	late := slices.DeleteFunc(slices.Clone(g.samples), func(h held) bool { return h.after < settled })
	third := len(late) / 3
	if third < 5 {
		return
	}
	for _, what := range []struct {
		name  string
		of    func(held) int
		slack int
	}{
		{"goroutines", func(h held) int { return h.goroutines }, 10},
		{"descriptors", func(h held) int { return h.descriptors }, 4},
		{"KiB of memory", func(h held) int { return h.rss }, 10 << 10},
	} {
		was, is := median(late[:third], what.of), median(late[len(late)-third:], what.of)
		t.Logf("%s: %d at first, %d at last", what.name, was, is)
		if is > was+was/10+what.slack {
			t.Errorf("%s grew from %d to %d", what.name, was, is)
		}
	}
}

func median(all []held, of func(held) int) int {
	n := make([]int, len(all))
	for i, h := range all {
		n[i] = of(h)
	}
	slices.Sort(n)
	return n[len(n)/2]
}
