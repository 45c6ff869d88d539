package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"imapfs/imapconn/imapwire"
)

func newExpunge() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "expunge [flags] MAILBOX",
		Short: "removes for ever what is marked \\Deleted in a mailbox",
		Long: `Removes for ever all messages of a mailbox that are marked \Deleted, whoever has marked
them, after naming them and asking. MAILBOX is its directory in a mount.

rm in a mount removes a message from the server by itself, where the server can be made
to remove that one alone (UIDPLUS), and moves it to the trash where it can only move
(MOVE). With neither, rm marks it, and the mount shows it no more; it is then for this
command to remove it, or for another mail program.

If others are marked by the time than were named, nothing is removed. What another
program marks in the very moment goes with them: IMAP knows no other way.`,
		Example: "  imapfs expunge ~/mail/INBOX",
		Args:    exactly(1),
	}
	c.Flags().BoolVar(&yes, "yes", false, "name them, and do not ask")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return expunge(ctx, args[0], yes, c.OutOrStdout())
	}
	return c
}

func expunge(ctx context.Context, path string, yes bool, out io.Writer) error {
	m, wire, err := mailboxAt(path)
	if err != nil {
		return err
	}
	var report markedReport
	if err := m.askJSON(ctx, http.MethodGet, "/marked", url.Values{"mailbox": {wire}}, &report); err != nil {
		return err
	}
	if report.Error != "" {
		return errors.New(hinted(report.Error, "try again"))
	}
	if len(report.Messages) == 0 {
		return nil
	}
	var uids imapwire.UIDSet
	for _, msg := range report.Messages {
		uids.Add(msg.UID)
	}
	if _, err := out.Write(namedMarked(&report, uids)); err != nil {
		return err
	}
	if !yes {
		if err := askYes(ctx, out, fmt.Sprintf("Remove %s from %s for ever? [y/N] ", counted(len(report.Messages), "message"), oneLine(report.Mailbox))); err != nil {
			return err
		}
	}
	return m.do(ctx, "/expunge", url.Values{
		"mailbox":     {wire},
		"uidvalidity": {strconv.FormatUint(uint64(report.UIDValidity), 10)},
		"uids":        {uids.String()},
	})
}

// counted is a number of things for people.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// namedMarked is what would go, for people: all of it, in a table as far as that is known.
func namedMarked(report *markedReport, uids imapwire.UIDSet) []byte {
	var w bytes.Buffer
	table := tabwriter.NewWriter(&w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "UID\tMARKED\tDATE\tSIZE\tFROM\tSUBJECT")
	known := report.Messages[:min(len(report.Messages), maxNamed)]
	for _, msg := range known {
		by, date := "elsewhere", "-"
		if msg.Hidden {
			by = "by rm"
		}
		if !msg.Date.IsZero() {
			date = msg.Date.Local().Format(time.DateOnly)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", msg.UID, by, date, size(msg.Size), cellOf(msg.From), cellOf(msg.Subject))
	}
	table.Flush()
	if more := len(report.Messages) - len(known); more > 0 {
		fmt.Fprintf(&w, "and %d more; in all %s\n", more, uids)
	}
	return w.Bytes()
}

// cellOf is a text that anybody may have written, in a table.
func cellOf(text string) string {
	const longest = 60 // octets
	if text = cut(oneLine(text), longest); text == "" {
		return "-"
	}
	return text
}

// mailboxAt is the mount in which a directory lies, and what the server calls the mailbox
// that it is.
func mailboxAt(path string) (*mounted, string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, "", mountPointError(path, err)
	}
	dev := st.Sys().(*syscall.Stat_t).Dev
	device := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	entries, err := mountinfo.GetMounts(mountinfo.FSTypeFilter(fsType))
	if err != nil {
		return nil, "", fmt.Errorf("the mount table: %w (is /proc mounted?)", err)
	}
	found := byDevice(entries, func(e *mountinfo.Info) bool { return deviceOf(e) == device })
	if len(found) == 0 {
		return nil, "", fmt.Errorf("%s is in no mount of imapfs (name a directory like ~/mail/INBOX)", path)
	}
	name := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err := unix.Getxattr(path, "user.imap.mailbox", name)
	if err != nil || !st.IsDir() {
		return nil, "", fmt.Errorf("%s is no mailbox (name a directory like ~/mail/INBOX)", path)
	}
	return found[0], string(name[:n]), nil
}

// askYes asks at the terminal; nil: the answer is yes.
func askYes(ctx context.Context, out io.Writer, question string) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("there is no terminal to ask at, and nothing was removed (--yes does not ask)")
	}
	fmt.Fprint(out, question)
	answer := make(chan string, 1)
	go func() { // ends with the answer, or with the program
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case said := <-answer:
		if said == "y" || said == "yes" {
			return nil
		}
		return errors.New("nothing was removed (answer y to remove them)")
	case <-ctx.Done():
		fmt.Fprintln(out)
		return errors.New("interrupted: nothing was removed (answer y to remove them)")
	}
}
