package cache

import (
	"testing"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// BenchmarkScan opens and reads 2,000 texts of 20 KB in order, cold, from Dovecot.
func BenchmarkScan(b *testing.B) {
	const n, size = 2000, 20_000
	d := imaptest.StartDovecot(b, imaptest.DovecotOptions{NoTLS: true})
	texts := make([][]byte, n)
	for i := range texts {
		texts[i] = text(i+1, size)
	}
	d.Deliver(b, "INBOX", texts...)
	p := make([]byte, blockLen)
	b.SetBytes(n * size)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		a := open(b, d.Addr, d.User, d.Password, func(c *Config, _ *imapconn.Dialer) { c.CacheBytes = 32 << 20 })
		m := box(b, a, "INBOX")
		snap := mustLoad(b, m)
		ctx := within(b, patient)
		b.StartTimer()
		for i := range snap.Len() {
			uid := snap.At(i).UID
			if _, ok := m.TryOpen(snap.Validity(), uid); !ok {
				if _, err := m.Open(ctx, snap.Validity(), uid); err != nil {
					b.Fatal(err)
				}
			}
			if k, ok := tryReadAt(m, snap.Validity(), uid, p, 0); !ok || k != size {
				b.Fatalf("message %d: %d octets, %v", uid, k, ok)
			}
		}
		b.StopTimer()
		a.Close()
		b.StartTimer()
	}
}
