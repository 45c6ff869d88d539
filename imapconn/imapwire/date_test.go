package imapwire

import (
	"testing"
	"time"
)

func TestDatesOfEveryAgeAreRead(t *testing.T) {
	for sent, want := range map[string]string{
		"01-Jan-2020 10:00:00 +0100": "2020-01-01T10:00:00+01:00",
		" 1-Jan-2020 10:00:00 +0100": "2020-01-01T10:00:00+01:00",
		"1-jan-2020 10:00:00 +0100":  "2020-01-01T10:00:00+01:00",
		"29-FEB-2024 23:59:59 +0545": "2024-02-29T23:59:59+05:45",
		"31-Dec-1969 00:00:00 -1201": "1969-12-31T00:00:00-12:01",
		"01-Jul-2012 01:59:60 +0200": "2012-07-01T02:00:00+02:00",
		"17-Jul-94 02:44:25-PDT":     "1994-07-17T02:44:25-07:00",
		"17-Jul-94 02:44:25-Z":       "1994-07-17T02:44:25Z",
		"17-Jul-03 02:44:25-M":       "2003-07-17T02:44:25+12:00",
		"17-Jul-94 02:44:25 -0700":   "1994-07-17T02:44:25-07:00",
	} {
		got, err := ParseDateTime(sent)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %s", sent, got, err, want)
		}
	}
	for _, sent := range []string{
		"", "01-Jan-2020", "31-Feb-2020 10:00:00 +0100", "00-Jan-2020 10:00:00 +0000", "01-Foo-2020 10:00:00 +0100", "01-Jan-2020 24:00:00 +0100",
		"01-Jan-2020 10:60:00 +0100", "01-Jan-2020 10:00:00 +0160", "01-Jan-2020 10:00:00 +9900", "01-Jan-2020 10:00:00 +0100 ", "01-Jan-2020 10:00:00 0100",
		"01-Jan-2020 10:00:00", "01-Jan-2020 10:00:00-XYZ", "01-Jan-2020T10:00:00 +0100", "1-Jan-20200 10:00:00 +0100", "01-Jan-2020 10:00:00 ",
		"01-Jan-2020 10:00:00-", "Wed, 01 Jan 2020 10:00:00 +0100",
	} {
		if got, err := ParseDateTime(sent); err == nil {
			t.Errorf("%q was read as %v", sent, got)
		}
	}
}

func TestDatesTakeNoMemory(t *testing.T) {
	s := []byte("01-Jan-2020 10:00:00 +0100")
	if n := testing.AllocsPerRun(100, func() { ParseDateTime(s) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDateTime: what is written is read again, and nothing is read as another
// moment than time.Parse reads.
func FuzzDateTime(f *testing.F) {
	f.Add("01-Jan-2020 10:00:00 +0100")
	f.Add("17-Jul-94 02:44:25-PDT")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseDateTime(s)
		std, stdErr := time.Parse("_2-Jan-2006 15:04:05 -0700", s)
		if stdErr == nil && err == nil && !got.Equal(std) {
			t.Errorf("%q: %v, time.Parse says %v", s, got, std)
		}
		if err != nil {
			return
		}
		if again, err := ParseDateTime(FormatDateTime(got)); err != nil || !again.Equal(got) {
			t.Errorf("%q: %v written and read again is %v, %v", s, got, again, err)
		}
	})
}

func BenchmarkParseDateTime(b *testing.B) {
	s := []byte("01-Jan-2020 10:00:00 +0100")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDateTime(s); err != nil {
			b.Fatal(err)
		}
	}
}
