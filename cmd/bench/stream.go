package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"imapfs/imapconn/imaptest"
)

// stream reads what a command of a logged-in session answers, drops it, and gives the octets:
// what the wire and the server cost, and no client can be under. The tag is no word of
// the mail.
func stream(addr string, d *imaptest.Dovecot, mailbox, command string) (octets int64, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 1<<20)
	if _, err := r.ReadString('\n'); err != nil {
		return 0, err
	}
	for _, line := range []string{"LOGIN " + d.User + " " + d.Password, "EXAMINE " + mailbox} {
		if _, err := answer(c, r, line); err != nil {
			return 0, err
		}
	}
	return answer(c, r, command)
}

const tag = "T4G"

func answer(c net.Conn, r *bufio.Reader, command string) (octets int64, err error) {
	if _, err := fmt.Fprintf(c, "%s %s\r\n", tag, command); err != nil {
		return 0, err
	}
	for {
		line, err := r.ReadSlice('\n')
		octets += int64(len(line))
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil:
			return octets, err
		case bytes.HasPrefix(line, []byte(tag+" ")):
			if !bytes.HasPrefix(line, []byte(tag+" OK")) {
				return octets, fmt.Errorf("%s: %s", command, line)
			}
			return octets, nil
		}
		n, ok := literal(line)
		if !ok {
			continue
		}
		skipped, err := io.CopyN(io.Discard, r, n)
		octets += skipped
		if err != nil {
			return octets, err
		}
	}
}

// literal is the length at the end of a line, {n}.
func literal(line []byte) (n int64, ok bool) {
	line = bytes.TrimRight(line, "\r\n")
	i := bytes.LastIndexByte(line, '{')
	if i < 0 || !bytes.HasSuffix(line, []byte("}")) {
		return 0, false
	}
	_, err := fmt.Sscanf(string(line[i:]), "{%d}", &n)
	return n, err == nil
}

// streams does the same over several connections, each with a part of the messages.
func streams(addr string, d *imaptest.Dovecot, mailbox string, count, messages int) error {
	var group sync.WaitGroup
	errs := make([]error, count)
	for i := range count {
		group.Go(func() {
			first, last := messages*i/count+1, messages*(i+1)/count
			_, errs[i] = stream(addr, d, mailbox, fmt.Sprintf("UID FETCH %d:%d BODY.PEEK[]", first, last))
		})
	}
	group.Wait()
	var all []string
	for _, err := range errs {
		if err != nil {
			all = append(all, err.Error())
		}
	}
	if len(all) > 0 {
		return fmt.Errorf("%s", strings.Join(all, "; "))
	}
	return nil
}
