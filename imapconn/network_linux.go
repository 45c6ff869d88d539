package imapconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// routeGroups are the kernel's messages that are listened to (rtnetlink(7)).
const routeGroups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
	unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// watchNetwork listens to the kernel. It costs nothing while nothing changes.
func watchNetwork(ctx context.Context, changed func()) error {
	f, err := listenRoutes()
	if err != nil {
		return err
	}
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	was, called := addresses(), time.Time{}
	for {
		routed, err := readRoutes(f, time.Time{})
		if err != nil {
			return err
		}
		// One change is many messages.
		settled := time.Now().Add(max(networkSettle, networkPace-time.Since(called)))
		for err == nil {
			var more bool
			more, err = readRoutes(f, settled)
			routed = routed || more
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if now := addresses(); routed || now != was {
			was, called = now, time.Now()
			changed()
		}
	}
}

// listenRoutes opens a socket on which the kernel tells of links, addresses and
// routes.
func listenRoutes() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: routeGroups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}

// readRoutes waits for messages. routed: a default route has changed, which no
// address need tell of, or messages were lost.
func readRoutes(f *os.File, until time.Time) (routed bool, err error) {
	if err := f.SetReadDeadline(until); err != nil {
		return false, err
	}
	var buf [16 << 10]byte
	n, err := f.Read(buf[:])
	if errors.Is(err, unix.ENOBUFS) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return tellsOfRoute(buf[:n]), nil
}

// tellsOfRoute reports whether a default route is in a datagram of the kernel's.
func tellsOfRoute(datagram []byte) bool {
	messages, err := syscall.ParseNetlinkMessage(datagram)
	if err != nil {
		return true
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			// struct rtmsg: family, then the length of the destination in bits.
			if len(m.Data) < unix.SizeofRtMsg || m.Data[1] == 0 {
				return true
			}
		}
	}
	return false
}

// addresses is what is configured on interfaces that are up, as one text.
func addresses() string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return ""
	}
	text := ""
	for _, i := range interfaces {
		if i.Flags&(net.FlagUp|net.FlagRunning) != net.FlagUp|net.FlagRunning {
			continue
		}
		addrs, _ := i.Addrs()
		text += fmt.Sprintln(i.Name, addrs)
	}
	return text
}
