package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"imapfs/imapconn/imaptest"
)

// needle is a word in one of 500 messages.
const needle = "heliotrope"

// message makes the text of message i, the same in each run: sizes are log-normal around
// 8 KB, and one of 2,000 has 5 to 20 MB.
func message(i int) []byte {
	r := rand.New(rand.NewPCG(7, uint64(i)))
	size := min(max(int(8000*math.Exp(1.1*r.NormFloat64())), 600), 2<<20)
	if i%2000 == 999 {
		size = 5<<20 + r.IntN(15<<20)
	}
	return letter(i, size, i%500 == 250, r)
}

// short makes a message of a few hundred octets, for listings.
func short(i int) []byte { return letter(i, 300, false, rand.New(rand.NewPCG(8, uint64(i)))) }

// tenKB makes a message of 10 KB.
func tenKB(i int) []byte { return letter(i, 10_000, false, rand.New(rand.NewPCG(9, uint64(i)))) }

func letter(i, size int, found bool, r *rand.Rand) []byte {
	var b bytes.Buffer
	b.Grow(size + 100)
	fmt.Fprintf(&b, "From: Sender %d <s%d@example.org>\r\nTo: alice@example.org\r\nSubject: message %d\r\n"+
		"Message-ID: <%d.%d@bench.example.org>\r\n\r\n", i, i%97, i, i, size)
	if found {
		b.WriteString("the word is " + needle + "\r\n")
	}
	const letters = "abcdefghijklmnopqrstuvwxyz etaoinshrdlu, abcdefghijklmnop. etaoi"
	line := make([]byte, 0, 80)
	for b.Len() < size {
		line = line[:0]
		for n := 40 + r.IntN(30); len(line) < n; {
			v := r.Uint64()
			for range 10 {
				line = append(line, letters[v&63])
				v >>= 6
			}
		}
		b.Write(append(line, '\r', '\n'))
	}
	return b.Bytes()
}

// fill delivers n messages to a mailbox, and writes each as a file named by its UID to dir,
// unless that is empty. It gives their octets.
func fill(tb imaptest.TB, d *imaptest.Dovecot, mailbox string, n int, text func(int) []byte, dir string) (octets int64) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	for i := 1; i <= n; i++ {
		t := text(i)
		octets += int64(len(t))
		d.Deliver(tb, mailbox, t)
		if dir == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), t, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return octets
}
