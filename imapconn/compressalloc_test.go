package imapconn

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
	"testing"

	"imapfs/imapconn/imapwire"
)

// canned is a Client that reads answers from memory, to one FETCH that never ends.
func canned(answers io.Reader, f func(Text)) *Client {
	d := &Dialer{}
	c := d.newClient()
	c.dec = imapwire.NewDecoder(answers)
	c.box = &selection{answered: true}
	c.flight = []*command{{tag: 1, answer: &textAnswer{set: AllUIDs(), part: Part{}.filled(), f: f}, done: make(chan struct{})}}
	return c
}

// answers are FETCH answers with texts of mail, of some kilobytes each.
func answers(n int) (octets string) {
	var b strings.Builder
	words := strings.Fields(strings.Repeat("From Subject mail list archive letter answer quoted message thread reply octets ", 3))
	for uid := 1; uid <= n; uid++ {
		var text strings.Builder
		for i := 0; text.Len() < 8_000; i++ {
			fmt.Fprintf(&text, "%s %x %s\r\n", words[(i*uid)%len(words)], uid*i*2654435761, words[(i+uid)%len(words)])
		}
		fmt.Fprintf(&b, "* %d FETCH (UID %[1]d BODY[] {%d}\r\n%s)\r\n", uid, text.Len(), text.String())
	}
	return b.String()
}

// readAnswers reads n answers and returns how many texts came.
func readAnswers(r io.Reader, n int) (came int) {
	c := canned(r, func(Text) { came++ })
	for range n {
		c.dec.Begin()
		c.response()
	}
	return came
}

// Compression costs memory for a connection, not for a text: beside the 2 allocations
// that each text takes, package flate makes tables for each block of some 30 KB.
func TestACompressedTextAllocatesNoMoreThanAPlainOne(t *testing.T) {
	const n = 1000
	words := answers(n)
	packed := compressed(words, 1)
	read := func(r func() io.Reader) float64 {
		return testing.AllocsPerRun(3, func() {
			if came := readAnswers(r(), n); came != n {
				t.Fatalf("%d of %d texts came", came, n)
			}
		})
	}
	plain := read(func() io.Reader { return strings.NewReader(words) })
	deflated := read(func() io.Reader { return &inflater{flate.NewReader(bytes.NewReader(packed))} })
	t.Logf("%.0f allocations plain, %.0f compressed, for %d texts, %d octets in %d", plain, deflated, n, len(words), len(packed))
	if more := (deflated - plain) / n; more > 2 {
		t.Errorf("%.1f allocations a text more than plain", more)
	}
}

func BenchmarkCompressedTexts(b *testing.B) {
	const n = 1000
	words := answers(n)
	packed := compressed(words, 1)
	for name, r := range map[string]func() io.Reader{
		"plain":   func() io.Reader { return strings.NewReader(words) },
		"deflate": func() io.Reader { return &inflater{flate.NewReader(bytes.NewReader(packed))} },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(words)))
			b.ReportAllocs()
			for b.Loop() {
				readAnswers(r(), n)
			}
		})
	}
}
