package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"imapfs/cache"
)

func newPending() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "pending [flags] [MOUNTPOINT]",
		Short: "lists what was written and the server does not have",
		Long: `Lists the texts that were written and that the server does not have: it refuses
them, it cannot be reached, or it has stored something else. They lie in the spool,
whole, and are tried again as long as the account is mounted and at the next mount;
a text is sent no more once a program has written it anew or removed it. Nothing is
printed where nothing is pending.

Without MOUNTPOINT, for all mounts of this user, and for the spools that no daemon
has, because it was killed: the next mount of that account sends what lies there.`,
		Example: `  imapfs pending
  imapfs pending export 8c1f4e0b9a7d2365 draft.eml
  imapfs pending discard 8c1f4e0b9a7d2365
  imapfs pending --json | jq -r .pending[].id`,
		Args: oneAtMost,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one line of JSON for each mount and each such spool")
	c.RunE = func(c *cobra.Command, args []string) error {
		all, err := allPending(c.Context(), strings.Join(args, ""))
		var out bytes.Buffer
		for _, r := range all {
			if asJSON {
				json.NewEncoder(&out).Encode(r)
			} else if len(r.Pending) > 0 {
				showPending(&out, r)
			}
		}
		if _, writing := c.OutOrStdout().Write(out.Bytes()); writing != nil {
			return writing
		}
		return err
	}
	c.AddCommand(newExport(), newDiscard())
	return c
}

// allPending asks the daemon of the mount at path, or all of this user's, and looks into
// the spools that none has. What could be had is given beside an error, too.
func allPending(ctx context.Context, path string) ([]pendingReport, error) {
	mounts, err := mountsOf(path)
	if path != "" && err != nil {
		return nil, err
	}
	var all []pendingReport
	var failed error
	for _, m := range mounts {
		r, err := m.pending(ctx)
		if err == nil {
			all = append(all, r)
		} else {
			failed = errors.Join(failed, err)
		}
	}
	if path != "" && !errors.Is(failed, errNoDaemon) {
		return all, failed
	}
	// Of the one at path it is only known that it is dead: what it had is among these.
	left, err := orphaned()
	return append(all, left...), errors.Join(failed, err)
}

// pending asks the daemon of a mount what is pending.
func (m *mounted) pending(ctx context.Context) (r pendingReport, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askLimit)
	defer cancel()
	err = m.askJSON(ctx, http.MethodGet, "/pending", nil, &r)
	return r, err
}

// showPending writes a table for people.
func showPending(w *bytes.Buffer, r pendingReport) {
	if w.Len() > 0 {
		w.WriteByte('\n')
	}
	now := r.Time
	if r.MountPoint != "" {
		fmt.Fprintf(w, "%s at %s\n", oneLine(r.Account), oneLine(r.MountPoint))
	} else {
		now = time.Now()
		fmt.Fprintf(w, "%s, not mounted: the next mount sends what lies in %s\n", oneLine(r.Account), oneLine(r.Spool))
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tMAILBOX\tNAME\tSIZE\tSTATE\tSINCE\tTRIES\tAGAIN\tERROR")
	for _, p := range r.Pending {
		again := "-"
		if p.Next.After(now) {
			again = "in " + span(p.Next.Sub(now))
		}
		row := []string{p.ID, p.Mailbox, p.Name, size(p.Size), p.State, span(now.Sub(p.Since)) + " ago", fmt.Sprint(p.Tries), again, cmp.Or(p.Error, "-")}
		for i, cell := range row {
			row[i] = cut(oneLine(cell), maxCell)
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	table.Flush()
}

// A holding is a text that is pending, and who has it.
type holding struct {
	cache.Pending
	mount *mounted // nil: nobody
}

// holdings finds texts by their IDs, in that order. Daemons are asked until all are found.
func holdings(ctx context.Context, ids []string) ([]holding, error) {
	found := make(map[string]holding)
	note := func(texts []cache.Pending, m *mounted) {
		for _, p := range texts {
			if slices.Contains(ids, p.ID) {
				found[p.ID] = holding{p, m}
			}
		}
	}
	left, err := orphaned()
	for _, r := range left {
		note(r.Pending, nil)
	}
	mounts, _ := mountsOf("") // none is no error: there are spools
	for _, m := range mounts {
		if len(found) == len(ids) {
			break
		}
		if r, err := m.pending(ctx); err == nil {
			note(r.Pending, m)
		}
	}
	all := make([]holding, 0, len(ids))
	for _, id := range ids {
		h, ok := found[id]
		switch {
		case !ok && ctx.Err() != nil:
			return nil, errInterrupted
		case !ok && err != nil:
			return nil, err
		case !ok:
			return nil, fmt.Errorf("%s: nothing of that ID is pending where a daemon answers (imapfs pending lists what is)", oneLine(id))
		}
		all = append(all, h)
	}
	return all, nil
}

func newExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export ID [FILE]",
		Short: "writes down a text that is pending",
		Long: `Writes a text that is pending to FILE, which must not be there yet, into FILE if that
is a directory, or to the standard output: as it was written, whole or not. It stays
pending.`,
		Example: "  imapfs pending export 8c1f4e0b9a7d2365 draft.eml",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usagef("%d arguments where one or two are wanted (write %s)", len(args), c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			found, err := holdings(ctx, args[:1])
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return found[0].export(ctx, c.OutOrStdout())
			}
			return found[0].exportTo(ctx, args[1])
		},
	}
}

// exportTo writes a text to a new file.
func (h holding) exportTo(ctx context.Context, name string) error {
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		name = filepath.Join(name, strings.ReplaceAll(h.Name, "/", "_"))
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%w (name a new file)", err)
	}
	err = h.export(ctx, f)
	if err == nil {
		err = f.Sync() // what is discarded next is here only
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		os.Remove(name)
	}
	return err
}

func (h holding) export(ctx context.Context, w io.Writer) error {
	if h.mount != nil {
		return h.mount.ask(ctx, http.MethodGet, "/pending/text", url.Values{"id": {h.ID}}, func(r io.Reader) error {
			_, err := io.Copy(w, r)
			return err
		})
	}
	f, err := os.Open(h.Path)
	if err != nil {
		return fmt.Errorf("%w (a daemon may have it by now: try again)", err)
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func newDiscard() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "discard ID... | --all MOUNTPOINT",
		Short: "removes for ever texts that are pending",
		Long: `Removes texts that are pending for ever, and names each that it has removed. What
the server has stays as it is; a message that was being edited is there unchanged.
They must be mounted.`,
		Example: "  imapfs pending discard 8c1f4e0b9a7d2365\n  imapfs pending discard --all ~/mail",
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case all && len(args) != 1:
				return usagef("--all wants one mount point (write imapfs pending discard --all MOUNTPOINT)")
			case len(args) == 0:
				return usagef("no ID is given (write %s)", c.UseLine())
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "whatever is pending at one mount point")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		var found []holding
		var err error
		if all {
			found, err = holdingsAt(ctx, args[0])
		} else {
			found, err = holdings(ctx, args)
		}
		if err != nil {
			return err
		}
		for _, h := range found {
			if h.mount == nil {
				return fmt.Errorf("%s: no daemon has it (mount the account, then discard it)", h.ID)
			}
		}
		for _, h := range found {
			if err := h.mount.do(ctx, "/pending/discard", url.Values{"id": {h.ID}}); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "discarded %s: %s, %s\n", h.ID, oneLine(h.place()), size(h.Size))
		}
		return nil
	}
	return c
}

// holdingsAt are all texts of a mount.
func holdingsAt(ctx context.Context, path string) ([]holding, error) {
	mounts, err := mountsOf(path)
	if err != nil {
		return nil, err
	}
	r, err := mounts[0].pending(ctx)
	found := make([]holding, 0, len(r.Pending))
	for _, p := range r.Pending {
		found = append(found, holding{p, mounts[0]})
	}
	return found, err
}

// place is where a text belongs, for people.
func (h holding) place() string { return placeOf(h.Pending) }

func placeOf(p cache.Pending) string {
	if p.Mailbox == "" {
		return p.Name
	}
	return p.Mailbox + "/" + p.Name
}
