package imapconn

import (
	"testing"
	"time"
)

// Each is what is measured in turn, and what is done with new connections after it.
func TestCompressionIsUsedWhereItIsMeasuredToPay(t *testing.T) {
	type measure struct {
		perSecond  float64 // octets
		compressed bool
		octets     int64
		expected   bool
	}
	const much = 2 * believed
	for name, measures := range map[string][]measure{
		"nothing yet":        {},
		"a fast line":        {{100e6, false, much, false}},
		"not so slow":        {{slowLine * 1.01, false, much, false}},
		"a slow line":        {{slowLine * 0.99, false, much, true}},
		"little is no proof": {{1e6, false, believed - 1, false}, {1e6, false, leastMeasured, true}},
		"small texts are none": {{1e3, false, leastMeasured - 1, false}, {1e3, false, leastMeasured - 1, false}, {1e3, false, leastMeasured - 1, false},
			{1e3, false, leastMeasured - 1, false}, {1e3, false, leastMeasured - 1, false}},
		"it pays":                      {{1e6, false, much, true}, {1.7e6, true, much, true}, {1.6e6, true, much, true}},
		"it does not":                  {{3e6, false, much, true}, {2.9e6, true, much, false}},
		"once is not believed":         {{3e6, false, much, true}, {1e6, true, believed - 1, true}, {1e6, true, leastMeasured, false}},
		"given up for good":            {{3e6, false, much, true}, {1e6, true, much, false}, {1e5, false, much, false}, {9e6, true, much, false}},
		"between the limits it stays":  {{3e6, false, much, true}, {5e6, false, 9 * much, true}},
		"between the limits it begins": {{5e6, false, much, false}},
		"the line is fast now":         {{1e6, false, much, true}, {30e6, false, 9 * much, false}},
		"and slow again":               {{1e6, false, much, true}, {30e6, false, 9 * much, false}, {1e6, false, 9 * much, true}},
		"another line, other gains":    {{3e6, false, much, true}, {3.1e6, true, much, true}, {30e6, false, 9 * much, false}, {1e6, true, leastMeasured, false}, {1e6, false, 9 * much, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var g gain
			if g.expected() {
				t.Fatal("compressed before anything was measured")
			}
			for i, m := range measures {
				g.measured(m.octets, time.Duration(float64(m.octets)/m.perSecond*1e9), m.compressed)
				if g.expected() != m.expected {
					t.Errorf("after measure %d: %v; plain %.0f, compressed %.0f", i+1, g.expected(), g.plain.perSecond(), g.packed.perSecond())
				}
			}
		})
	}
}

func TestThePaceOfLateCountsMost(t *testing.T) {
	var p pace
	for range 100 {
		p.add(believed, time.Second)
	}
	for range 10 {
		p.add(believed, time.Millisecond)
	}
	if p.perSecond() < 100*believed {
		t.Errorf("%.0f octets a second, after ten times %d", p.perSecond(), believed*1000)
	}
	if p.octets > 2*believed {
		t.Errorf("%d octets are remembered", p.octets)
	}
}
