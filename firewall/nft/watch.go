package nft

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/firewall"
)

// openEvents returns a socket for news of changes to nf_tables, but for those
// by the socket self: the kernel sorts them out, so that a load of a million
// rules wakes nobody.
func openEvents(self uint32) (*netlink.Conn, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	// Room for a few thousand elements that others change at once: what does not
	// fit counts as drift. What is granted will do.
	_ = nl.SetReadBuffer(1 << 20)
	filter, err := bpf.Assemble(notFrom(self))
	if err != nil {
		return nil, errors.Join(err, nl.Close())
	}
	if err := nl.SetBPF(filter); err != nil {
		return nil, errors.Join(fmt.Errorf("filter news of nf_tables: %w", err), nl.Close())
	}
	return nl, nil
}

// notFrom drops what a transaction of the socket self caused: all messages of
// one datagram stem from one transaction, so the sender of the first decides.
func notFrom(self uint32) []bpf.Instruction {
	const senderAt = 12 // nlmsg_pid
	var one uint16 = 1
	if native16(one)[0] == 1 {
		self = bits.ReverseBytes32(self) // the filter reads in network order
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: senderAt, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: self, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 30},
		bpf.RetConstant{Val: 0},
	}
}

// Watch implements [firewall.Filter]: anybody's change to our table is drift,
// single elements included, and so is news that the kernel had no room for. It
// calls drifted at once if the table is gone already. One Watch runs at a time.
func (f *Filter) Watch(ctx context.Context, drifted func()) error {
	if err := f.events.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return explain("watch", err)
	}
	defer func() { _ = f.events.LeaveGroup(unix.NFNLGRP_NFTABLES) }() // a closed socket has left
	if err := f.events.SetReadDeadline(time.Time{}); err != nil {
		return explain("watch", err)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = f.events.SetReadDeadline(time.Unix(1, 0)) // fails only when closed, which ends Receive too
	})
	defer func() {
		if !stop() {
			<-woken // or its deadline would end a later Watch
		}
	}()
	if s, err := f.read(); errors.Is(err, firewall.ErrForeign) || err == nil && !s.exists {
		drifted()
	}
	for {
		msgs, err := f.events.Receive()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			drifted() // what was lost may have been about us
		case err != nil:
			return explain("watch", err)
		case f.concerned(msgs):
			drifted()
		}
	}
}

// concerned reports whether a message is about our table.
func (f *Filter) concerned(msgs []netlink.Message) bool {
	for _, m := range msgs {
		if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || m.Header.PID == f.nl.PID() {
			continue
		}
		switch m.Header.Type & 0xff {
		case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_DELTABLE, unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN,
			unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE, unix.NFT_MSG_NEWSET, unix.NFT_MSG_DELSET,
			unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
		default:
			continue
		}
		// Each of these begins with the family and has the table as attribute 1.
		if name, ok := textOf(m.Data, unix.NFTA_TABLE_NAME); ok && name == f.table.Name && m.Data[0] == unix.NFPROTO_INET {
			return true
		}
	}
	return false
}
