package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

// A landing is an address that has become an element of a set in the kernel.
type landing struct {
	addr netip.Addr
	at   time.Time
}

// landings listens to what the kernel tells of nf_tables after each commit, on
// a thread of its own: asking the guard, or the kernel again and again, would
// disturb what is measured.
func landings(h *testnet.Host) (got <-chan landing, stop func(), err error) {
	var fd int
	err = h.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("netlink: %w", err)
	}
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
		// So that it notices the end.
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}),
	)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("netlink: %w", err), unix.Close(fd))
	}
	c, done, end := make(chan landing, 1024), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(end)
		listen(fd, c, done)
	}()
	return c, func() {
		close(done)
		<-end
		_ = unix.Close(fd) // read only
	}, nil
}

func listen(fd int, c chan<- landing, done <-chan struct{}) {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		at := time.Now()
		select {
		case <-done:
			return
		default:
		}
		if err != nil {
			continue // nothing came, or more than fits: the sample is missed and told
		}
		for _, a := range elements(buf[:n]) {
			c <- landing{a, at}
		}
	}
}

const (
	headerLen   = 16 // nlmsghdr
	familyLen   = 4  // nfgenmsg
	newElements = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM
)

// elements returns the IPv4 addresses added in a packet of messages.
func elements(b []byte) (addrs []netip.Addr) {
	for len(b) >= headerLen {
		size := int(binary.NativeEndian.Uint32(b))
		if size < headerLen || size > len(b) {
			return addrs
		}
		if kind := binary.NativeEndian.Uint16(b[4:]); kind == newElements && size > headerLen+familyLen {
			addrs = append(addrs, keys(b[headerLen+familyLen:size])...)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return addrs
}

// keys reads the list of elements down to the values of their keys.
func keys(b []byte) (addrs []netip.Addr) {
	each(b, unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(list []byte) {
		each(list, unix.NFTA_LIST_ELEM, func(elem []byte) {
			each(elem, unix.NFTA_SET_ELEM_KEY, func(key []byte) {
				each(key, unix.NFTA_DATA_VALUE, func(value []byte) {
					if a, ok := netip.AddrFromSlice(value); ok {
						addrs = append(addrs, a)
					}
				})
			})
		})
	})
	return addrs
}

// each calls f with every attribute of the kind.
func each(b []byte, kind uint16, f func([]byte)) {
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return // the kernel writes none that are malformed
	}
	for d.Next() {
		if d.Type() == kind {
			f(d.Bytes())
		}
	}
}
