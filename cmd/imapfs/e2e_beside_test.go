package main

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// TestEditsBesideEachOther edits six messages of one mailbox at the same time, each again
// and again: while one edit holds the directory, the kernel does not hear what has become
// of the name that the next program opens.
func TestEditsBesideEachOther(t *testing.T) {
	t.Parallel()
	needServers(t)
	const messages, times = 6, 10
	server, err := imaptest.NewMemory(imaptest.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for i := range messages {
		if err := server.Append("INBOX", []byte(writeText(fmt.Sprint(i+1), "body")), nil, time.Unix(oldDate, 0)); err != nil {
			t.Fatal(err)
		}
	}
	d := mountPlain(t, server.Addr, server.User, server.Password, "--read-only=false")
	var programs sync.WaitGroup
	for i := range messages {
		programs.Go(func() {
			for range times {
				cmd := exec.Command("perl", "-pi", "-e", `s/^body/body\r\nbody/ and $n++ unless $n`, d.path("INBOX", fmt.Sprint(i+1)))
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
	programs.Wait()
	d.stop(t)
	var want []string
	for i := range messages {
		want = append(want, fmt.Sprintf("%d %s old", i+1, "body"+strings.Repeat("+body", times)))
	}
	if wrong := compareWritten(writtenIn(t, account{server.Addr, server.User, server.Password})["INBOX"], want); wrong != "" {
		t.Error(wrong)
	}
}
