package main

import (
	"errors"
	"net"
	"strconv"
	"strings"
)

// metricsAddr is the value of --metrics: host:port. A port alone, with or without a colon
// before it, is one of the loopback interface; another address must be written out.
type metricsAddr string

const loopback = "127.0.0.1"

func (a *metricsAddr) Set(s string) error {
	if !strings.Contains(s, ":") {
		s = ":" + s
	}
	host, port, err := net.SplitHostPort(s)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
		return errors.New("not an address to listen at (write 9143, or 192.0.2.1:9143 for all who can reach that)")
	}
	if host == "" {
		host = loopback
	}
	*a = metricsAddr(net.JoinHostPort(host, port))
	return nil
}

func (a *metricsAddr) String() string { return string(*a) }
func (a *metricsAddr) Type() string   { return "ADDR" }
