package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"imapfs/imapconn"
)

func newCheck() *cobra.Command {
	o := newOptions()
	var asJSON bool
	var mountOptions []string
	c := &cobra.Command{
		Use:   "check [flags] URL|ACCOUNT",
		Short: "says what a mount of an account would have, and what will be slow",
		Long: `Connects and logs in as imapfs mount with the same flags would, and says what the
server offers, what the mount makes of it, how much mail there is, what rm will do, and
what will be slow. Nothing is mounted and nothing changes on the server: it is asked by
LIST, STATUS and EXAMINE.`,
		Example:           "  imapfs check work\n  imapfs check --json imaps://alice@mail.example.org/ | jq .slow",
		Args:              exactly(1),
		ValidArgsFunction: completeAccounts,
	}
	o.register(c.Flags())
	registerMountOptions(c.Flags(), &mountOptions)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		url, err := settle(c.Flags(), mountOptions, args[0])
		if err != nil {
			return err
		}
		if err := o.complete(url, ""); err != nil {
			return err
		}
		password, err := obtain(o)
		if err != nil {
			return err
		}
		secrets := newSecrets(o, password)
		r, err := check(c.Context(), o, secrets)
		if err != nil {
			return advised(errors.New(secrets.blank(err.Error())))
		}
		text, err := r.text(asJSON)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c.OutOrStdout(), secrets.blank(text))
		return err
	}
	return c
}

// text is a report for people, or for programs. It may hold a secret that the server has
// repeated.
func (r *checkReport) text(asJSON bool) (string, error) {
	var out bytes.Buffer
	if !asJSON {
		err := r.write(&out)
		return out.String(), err
	}
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(r)
	return out.String(), err
}

// advised has an error end with what to do.
func advised(err error) error {
	if strings.HasSuffix(err.Error(), ")") {
		return err
	}
	return errors.New(err.Error() + " (--trace FILE shows what was said)")
}

// check asks a server all that a checkReport says.
func check(ctx context.Context, o *options, s *secrets) (*checkReport, error) {
	dialer, wait, err := newDialer(o, s, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer wait()
	if o.Trace != "" {
		trace, err := openTrace(o.Trace)
		if err != nil {
			return nil, err
		}
		defer trace.Close()
		dialer.Trace = blanked{trace, s}
	}
	// The dialer's own deadlines are about silence. These are about a server that talks
	// and does not come to the point.
	dialCtx, cancel := context.WithTimeout(ctx, commandLimit+2*o.Timeout)
	defer cancel()
	client, err := dialer.Dial(dialCtx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r, err := ask(ctx, client, o)
	if err != nil {
		return nil, err
	}
	leave(ctx, client, o)
	return r, nil
}

// leave says goodbye; what becomes of that changes nothing.
func leave(ctx context.Context, client *imapconn.Client, o *options) {
	ctx, cancel := context.WithTimeout(ctx, min(o.Timeout, endLimit))
	defer cancel()
	client.Logout(ctx)
}
