package main

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

// Options that may be repeated are each other's neighbours behind -o, and not mixed.
func TestRepeatableMountOptionsKeepApart(t *testing.T) {
	o := newOptions()
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.register(f)
	l, err := parseMountOptions(f, []string{"exclude=Trash,tls_pin=ab", "tls-pin=cd,exclude=Junk,auth=plain"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.apply(f); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.Exclude, []string{"Trash", "Junk"}) || !slices.Equal(o.TLSPins, []string{"ab", "cd"}) || o.Auth != "PLAIN" {
		t.Errorf("%q, %q, %q", o.Exclude, o.TLSPins, o.Auth)
	}
}
