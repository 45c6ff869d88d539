package imapconn

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Nothing answers for seven seconds; then the network is back, for new attempts
// and not for those under way.
func TestConnectIsTriedAgainWhileNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var mu sync.Mutex
		attempts, under, most := 0, 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			attempts += max(n, 0)
			under += n
			most = max(most, under)
		}
		here, there := net.Pipe()
		defer there.Close()
		conn, err := connect(t.Context(), func(ctx context.Context) (net.Conn, error) {
			count(1)
			defer count(-1)
			if time.Since(begun) > 7*time.Second {
				return here, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if err != nil || conn != here {
			t.Fatal(conn, err)
		}
		conn.Close()
		if took := time.Since(begun); took > 7*time.Second+connectAgain {
			t.Errorf("connected after %v", took)
		}
		if attempts != 5 || most > 3 || under != 0 {
			t.Errorf("%d attempts, %d at once, %d left", attempts, most, under)
		}
	})
}

func TestAFarServerHasTimeToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		conn, err := connect(t.Context(), func(ctx context.Context) (net.Conn, error) {
			select {
			case <-time.After(3 * connectAgain / 2):
				return here, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		if err != nil || conn != here {
			t.Fatal(conn, err)
		}
		conn.Close()
	})
}

func TestConnectEndsWithItsContextAndWithARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := connect(ctx, func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		begun, refusal := time.Now(), errors.New("refused")
		if _, err := connect(t.Context(), func(ctx context.Context) (net.Conn, error) {
			if time.Since(begun) > 0 {
				return nil, refusal
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}); err != refusal || time.Since(begun) != connectAgain {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
