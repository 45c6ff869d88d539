package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"imapfs/imapconn/imaptest"
	"imapfs/testdata"
)

// tour is what demo --tour runs; its arguments are the mount point and an
// empty directory. It is a program of its own: a process never opens a file in
// a mount that it serves itself.
//
//go:embed tour.sh
var tour string

func newDemo() *cobra.Command {
	var guided bool
	c := &cobra.Command{
		Use:   "demo [flags] [DIR]",
		Short: "mounts sample mail from a server of its own",
		Long: `Starts an IMAP server in this process, on the loopback interface, fills it with
sample mail, and mounts that at DIR or a temporary directory until Ctrl-C.
Nothing is left behind.`,
		Example: "  imapfs demo\n  imapfs demo ~/mail",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%d arguments where at most one is wanted (write imapfs demo DIR)", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return demo(c.Context(), args[0], guided)
			}
			dir, err := os.MkdirTemp("", "imapfs-demo-")
			if err != nil {
				return fmt.Errorf("%w (name a directory: imapfs demo DIR)", err)
			}
			defer os.Remove(dir)
			return demo(c.Context(), dir, guided)
		},
	}
	c.Flags().BoolVar(&guided, "tour", false, "show what can be done with it, then end")
	return c
}

func demo(ctx context.Context, dir string, guided bool) error {
	dir, err := checkMountPoint(dir)
	if err != nil {
		return err
	}
	if err := checkFUSE(false); err != nil {
		return err
	}
	server, err := sampleServer()
	if err != nil {
		return fmt.Errorf("the sample server: %w (is the loopback interface up?)", err)
	}
	defer server.Close()
	o, err := demoOptions(server, dir)
	if err != nil {
		return err
	}

	if o.State, err = os.MkdirTemp("", "imapfs-demo-spool-"); err != nil {
		return fmt.Errorf("%w (is the disk full?)", err)
	}
	defer os.RemoveAll(o.State)
	ctx, end := context.WithCancel(ctx)
	defer end()
	var tourErr error
	ready := func() error {
		switch {
		case guided:
			tourErr = runTour(ctx, dir)
			end()
		case term.IsTerminal(int(os.Stdout.Fd())):
			fmt.Printf(whatToTry, dir)
		default:
			fmt.Println(dir)
		}
		return nil
	}
	secrets := newSecrets(o, server.Password)
	log := newLogger(os.Stderr, slog.LevelWarn, secrets)
	return errors.Join(mountAndServe(ctx, o, secrets, log, ready), tourErr)
}

const whatToTry = `Sample mail is mounted at %[1]s. In another terminal, try

    cd %[1]s
    find .
    cat INBOX/1
    grep -rl invoice .
    rsync -a ./ /tmp/backup/
    sed -i s/invoice/bill/ INBOX/1
    mkdir Done; mv INBOX/1 Done/; rm -r Done

Ctrl-C unmounts it.
`

// sampleServer is an in-memory server with the mail of package testdata.
func sampleServer() (*imaptest.Memory, error) {
	server, err := imaptest.NewMemory(imaptest.MemoryOptions{})
	if err != nil {
		return nil, err
	}
	for _, m := range testdata.Messages() {
		if err := server.Append(m.Mailbox, m.Text, m.Flags, m.Date); err != nil {
			server.Close()
			return nil, err
		}
	}
	return server, nil
}

func demoOptions(server *imaptest.Memory, dir string) (*options, error) {
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		return nil, err
	}
	o := newOptions()
	o.MountPoint, o.TLS = dir, tlsNone
	o.Account = accountURL{User: server.User, Host: host}
	o.Account.Port, err = strconv.Atoi(port)
	return o, err
}

func runTour(ctx context.Context, dir string) error {
	scratch, err := os.MkdirTemp("", "imapfs-demo-")
	if err != nil {
		return fmt.Errorf("%w (is the disk full?)", err)
	}
	defer os.RemoveAll(scratch)
	sh := exec.CommandContext(ctx, "/bin/sh", "-eu", "-c", tour, "tour", dir, scratch)
	sh.Stdout, sh.Stderr = os.Stdout, os.Stderr
	if err := sh.Run(); err != nil {
		return fmt.Errorf("the tour: %w (see what it says above)", err)
	}
	return nil
}
