package cache

import (
	"math"

	"golang.org/x/sys/unix"
)

// memory is what the machine has, in octets.
func memory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return math.MaxInt64
	}
	return int64(info.Totalram) * int64(info.Unit)
}
