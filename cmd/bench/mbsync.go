package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"imapfs/imapconn/imaptest"
)

const mbsyncConf = `FSync no

IMAPAccount a
Host %s
Port %s
User %s
Pass %s
SSLType None
AuthMechs LOGIN
DisableExtensions COMPRESS=DEFLATE

IMAPStore far
Account a

MaildirStore near
Path %[5]s/
Inbox %[5]s/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns %[6]s
Create Near
Sync Pull
SyncState *
`

// mbsync pulls a mailbox into a directory in memory, and gives the wall time.
func (h *host) mbsync(d *imaptest.Dovecot, addr, mailbox string) time.Duration {
	host, port, err := net.SplitHostPort(addr)
	h.must(err)
	// /dev/shm is a tmpfs.
	dir, err := os.MkdirTemp("/dev/shm", "imapfs-bench-")
	h.must(err)
	defer os.RemoveAll(dir)
	conf := filepath.Join(dir, "mbsyncrc")
	h.must(os.WriteFile(conf, fmt.Appendf(nil, mbsyncConf, host, port, d.User, d.Password, dir, mailbox), 0o600))
	return h.run(0, "mbsync", "-q", "-c", conf, "c")
}
