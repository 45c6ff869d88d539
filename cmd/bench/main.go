// Command bench measures imapfs against the raw stream, mbsync, a local directory and a
// static tree of go-fuse, in one run on one machine, and prints one table of ratios. It
// needs root, Dovecot, mbsync, ripgrep and rsync (make bench installs them).
//
// Runs of what is compared alternate, and medians are taken. Machines are noisy: what
// fails the run is counts and CPU time; wall times are told.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"imapfs/imapconn/imaptest"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == serveStatic {
		if err := static(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run())
}

// A bench is one run.
type bench struct {
	*host
	binary   string
	pairs    int
	messages int // of INBOX
	listed   int // of the mailbox that is only listed
	rtts     []time.Duration

	dovecot *imaptest.Dovecot
	proxy   *imaptest.Proxy
	octets  int64  // of INBOX
	local   string // the texts of INBOX as files
	table   table
}

const (
	inbox  = "INBOX"
	ten    = "Ten"    // 1,000 messages of 10 KB
	listed = "Listed" // many small ones
	other  = "Other"  // nobody scans it
)

func run() (status int) {
	b := &bench{rtts: []time.Duration{0, 20 * time.Millisecond, 50 * time.Millisecond}}
	flag.StringVar(&b.binary, "imapfs", "./imapfs", "the `program` to measure")
	flag.IntVar(&b.pairs, "pairs", 5, "`how often` each is measured; the median counts")
	flag.IntVar(&b.messages, "messages", 10_000, "messages of the mailbox that is read")
	flag.IntVar(&b.listed, "listed", 100_000, "messages of the mailbox that is listed")
	only := flag.String("run", ".", "`regexp` that chooses what is measured")
	flag.Parse()
	chosen, err := regexp.Compile(*only)
	if err == nil {
		b.binary, err = filepath.Abs(b.binary)
	}
	if err == nil && (b.pairs < 1 || b.messages < 2000 || b.listed < 1) {
		err = fmt.Errorf("-pairs 1, -messages 2000 and -listed 1 are the least")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	dir, err := os.MkdirTemp("", "imapfs-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	b.host = &host{dir: dir}
	b.Cleanup(func() { os.RemoveAll(dir) })
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ended
		b.close()
		os.Exit(130)
	}()
	defer b.close()
	defer func() {
		if err, ok := recover().(fatal); ok {
			fmt.Fprintln(os.Stderr, "bench:", err)
			status = 1
		}
	}()
	b.prepare()
	for _, w := range works {
		if chosen.MatchString(w.name) {
			fmt.Fprintln(os.Stderr, w.name)
			w.measure(b)
		}
	}
	b.table.print(os.Stdout)
	if b.table.missed > 0 {
		return 1
	}
	return 0
}

// prepare starts the server and fills it.
func (b *bench) prepare() {
	fmt.Fprintf(os.Stderr, "making %d and %d messages\n", b.messages, b.listed)
	b.dovecot = imaptest.StartDovecot(b, imaptest.DovecotOptions{})
	b.local = filepath.Join(b.dir, "local")
	b.octets = fill(b, b.dovecot, inbox, b.messages, message, b.local)
	fill(b, b.dovecot, ten, 1000, tenKB, "")
	fill(b, b.dovecot, other, 20, tenKB, "")
	b.proxy = imaptest.NewProxy(b, b.dovecot.Addr)
	for _, mailbox := range []string{inbox, ten, other} { // Dovecot's indexes are made
		_, err := stream(b.dovecot.Addr, b.dovecot, mailbox, metadata)
		b.must(err)
	}
}

// metadata is what a listing must ask for.
const metadata = "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)"
