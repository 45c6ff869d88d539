package cache

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

var (
	crashRounds = flag.Int("crash-rounds", 8, "how often TestKilledAnywhere kills a daemon that sends")
	crashSeed   = flag.Uint64("crash-seed", 0, "what decides when; 0: the clock")
)

// crashEnv has the test binary send until it is killed: server, spool and the first number
// of its texts.
const crashEnv = "IMAPFS_TEST_SENDS"

// sends is the daemon of TestKilledAnywhere: it says which texts it begins, and of which
// Send has returned nil.
func sends(where string) {
	w := strings.Fields(where)
	first, _ := strconv.Atoi(w[4])
	host, port, _ := net.SplitHostPort(w[0])
	n, _ := strconv.Atoi(port)
	d := &imapconn.Dialer{Host: host, Port: n, TLS: imapconn.TLSNone, Timeout: patient,
		Credentials: func(context.Context) (imapconn.Credentials, error) {
			return imapconn.Credentials{User: w[1], Password: w[2]}, nil
		}}
	a, err := Open(context.Background(), Config{Dial: d.Dial, State: w[3], Poll: time.Hour, Timeout: patient})
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	m := a.Tree().Child(a.Tree().Root(), "A")
	var out sync.Mutex
	say := func(word string, n int) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(word, n)
	}
	var senders sync.WaitGroup
	for k := range 3 {
		senders.Go(func() {
			for i := first + k; ; i += 3 {
				d, err := a.NewDraft(m, fmt.Sprint(i))
				if err != nil {
					return
				}
				d.WriteAt([]byte(lf(i, 300)), 0)
				say("began", i)
				if i%4 == 0 {
					if d.Owe(Fate{Box: m}) == nil && d.Sync() == nil {
						say("sent", i) // it is owed, and safe
					}
				} else if _, err := d.Send(context.Background(), Fate{Box: m}); err == nil {
					say("sent", i)
				}
				d.Close()
			}
		})
	}
	senders.Wait()
}

// TestKilledAnywhere kills a daemon that sends again and again: what it has acknowledged
// is with the server in the end, and nothing is there twice.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	server := dovecot(t, imaptest.DovecotOptions{})
	s := changeServer{server.Addr, server.User, server.Password}
	p := newPeer(t, s)
	p.fill("A", 1, 100)
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-crash-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	began, sent := make(map[int]bool), make(map[int]bool)
	for round := range *crashRounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %s %d", crashEnv, s.addr, s.user, s.password, dir, 1000*(round+1)))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		kill := random.IntN(25) // lines until it is killed, and a moment
		for n := 0; lines.Scan(); n++ {
			word, number, _ := strings.Cut(lines.Text(), " ")
			i, err := strconv.Atoi(number)
			if err != nil {
				t.Error(lines.Text())
				break
			}
			began[i] = true
			sent[i] = sent[i] || word == "sent"
			if n == kill {
				time.Sleep(time.Duration(random.IntN(4000)) * time.Microsecond)
				cmd.Process.Kill()
			}
		}
		cmd.Process.Kill()
		if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
	}
	a := s.open(t, hastily, func(c *Config, _ *imapconn.Dialer) { c.State = dir })
	ctx, cancel := context.WithTimeout(t.Context(), 2*patient)
	defer cancel()
	a.FlushDrafts(ctx, nil) // what was being written is left
	for _, left := range a.Pending() {
		if left.State != "writing" {
			t.Errorf("left: %+v", left)
		}
	}
	arrived := make(map[string]int)
	for _, x := range p.texts("A") {
		arrived[x]++
	}
	acknowledged := 0
	for i := range began {
		n := arrived[crlf(lf(i, 300))]
		if sent[i] {
			acknowledged++
		}
		if n > 1 || n == 0 && sent[i] {
			t.Errorf("text %d is there %d times; acknowledged: %t", i, n, sent[i])
		}
	}
	t.Logf("%d texts begun, %d acknowledged, %d messages", len(began), acknowledged, len(arrived))
}
