package main

import "testing"

func TestOctets(t *testing.T) {
	for in, want := range map[string]octets{
		"256M": 256 << 20, "256m": 256 << 20, "256Mi": 256 << 20, "256MiB": 256 << 20,
		"1.5G": 3 << 29, "64K": 64 << 10, "100B": 100, "100b": 100, "7": 7 << 10, "2T": 2 << 40, "0B": 0,
	} {
		var got octets
		if err := got.Set(in); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "M", "-1M", "1e3M", "NaN", "Inf", "1 M", "1X", "1BiB", "off", "99999999T", ".", "0x10"} {
		var got octets
		if err := got.Set(in); err == nil {
			t.Errorf("%q is taken as %d", in, got)
		}
	}
}

func TestOctetsPrintAsTheyAreRead(t *testing.T) {
	for _, o := range []octets{1, 1023, 1 << 10, 256 << 20, 3 << 29, 5 << 40} {
		var again octets
		if err := again.Set(o.String()); err != nil || again != o {
			t.Errorf("%d is written %q and read as %d, %v", int64(o), o.String(), again, err)
		}
	}
}
