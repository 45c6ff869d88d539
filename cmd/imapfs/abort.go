package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A daemon that was killed while it told the kernel something about a directory cannot end
// as long as a program waits for an answer of that daemon in the directory, nor can the
// program. Only the end of the connection helps them, which the kernel calls abort.

// freeStuck ends the connection of a mount whose daemon was killed and has not ended. Whoever
// waits for it gets an error.
func freeStuck(at *mountinfo.Info) {
	conn := mountedAt(at).dial(at.Mountpoint)
	if conn == nil {
		return // it has ended, and its connection with it; or it never listened
	}
	cred, err := peer(conn)
	conn.Close()
	if err != nil || !wasKilled(int(cred.Pid)) {
		return
	}
	if os.Geteuid() == 0 {
		err = unix.Unmount(at.Mountpoint, unix.UMOUNT_NOFOLLOW|unix.MNT_FORCE)
		if err == unix.EBUSY {
			err = nil // the connection has ended all the same
		}
	} else {
		err = os.WriteFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", at.Minor), []byte("1"), 0)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "imapfs: %s: the daemon was killed and cannot end: %v (as root, umount -f frees who waits for it)\n", oneLine(at.Mountpoint), err)
	}
}

// wasKilled reports whether a process was sent SIGKILL and is there still, or some of its
// threads are (proc(5)).
func wasKilled(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch name {
		case "State":
			if strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X") {
				return true
			}
		case "SigPnd", "ShdPnd":
			if mask, err := strconv.ParseUint(value, 16, 64); err == nil && mask&(1<<(unix.SIGKILL-1)) != 0 {
				return true
			}
		}
	}
	return false
}
