// Package nflog reads the samples of packets that a firewall rule sends to a
// netfilter log group: who sent the packet, and when. It holds one socket,
// belongs to the network namespace of the thread that opened it, and takes part
// in the kernel's batching, so that a flood costs about one wake-up a second.
//
// It makes no rules and keeps no packets: only the first bytes of each, enough
// for the source address.
package nflog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Snap is how many bytes of a packet are asked for: an IPv6 header, which is
// longer than what is needed of IPv4.
const Snap = 40

// The kernel's numbers, of linux/netfilter/nfnetlink_log.h.
const (
	msgPacket = unix.NFNL_SUBSYS_ULOG << 8
	msgConfig = unix.NFNL_SUBSYS_ULOG<<8 | 1

	cfgCmd    = 1
	cfgMode   = 2
	cmdBind   = 1
	cmdUnbind = 2
	copyBytes = 2
)

// A Reader reads the samples of one group.
type Reader struct {
	group uint16
	mu    sync.Mutex // held by the one Read that may run
	conn  *netlink.Conn
}

// Open returns a Reader of group in the network namespace of the calling
// thread. Nothing is collected before [Reader.Read].
func Open(group uint16) (*Reader, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("nflog group %d: %w", group, err)
	}
	// Losing samples is expected under a flood and needs no error each time;
	// a kernel without the option reports ENOBUFS, which receive passes over.
	_ = c.SetOption(netlink.NoENOBUFS, true)
	return &Reader{group: group, conn: c}, nil
}

// Close ends a Read that runs and frees the socket.
func (r *Reader) Close() error { return r.conn.Close() }

// Read calls sink for each sample, from one goroutine, until ctx ends; then it
// returns nil. One Read of a Reader runs at a time. A group has one reader in a
// network namespace: a second one is an error.
func (r *Reader) Read(ctx context.Context, sink func(source netip.Addr, at time.Time)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	if err := r.bind(); err != nil {
		return err
	}
	defer r.unbind()
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = r.conn.SetReadDeadline(time.Unix(1, 0)) // only fails when closed, which ends Read too
	})
	defer func() {
		if !stop() {
			<-woken // or its deadline would end a later Read
		}
	}()
	for {
		err := r.receive(sink)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("nflog group %d: %w", r.group, err)
		}
	}
}

func (r *Reader) receive(sink func(netip.Addr, time.Time)) error {
	msgs, err := r.conn.Receive()
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return err
	}
	now := time.Now()
	for _, m := range msgs {
		if m.Header.Type != msgPacket {
			continue
		}
		if source, at, ok := parse(m.Data, now); ok {
			sink(source, at)
		}
	}
	return nil
}

func (r *Reader) bind() error {
	// The deadline of an earlier Read would end this one at once.
	if err := r.conn.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("nflog group %d: %w", r.group, err)
	}
	err := r.config(cfgCmd, []byte{cmdBind})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("nflog group %d: read by another program, or CAP_NET_ADMIN is missing; choose another group: %w",
			r.group, err)
	}
	if err != nil {
		return fmt.Errorf("nflog group %d: bind: %w", r.group, err)
	}
	mode := binary.BigEndian.AppendUint32(nil, Snap)
	mode = append(mode, copyBytes, 0)
	if err := r.config(cfgMode, mode); err != nil {
		return fmt.Errorf("nflog group %d: copy mode: %w", r.group, err)
	}
	return nil
}

// unbind lets go of the group, so that the kernel stops to collect. The read
// deadline is lifted for the answer, and a fault is of no consequence: a socket
// that is closed has let go already.
func (r *Reader) unbind() {
	_ = r.conn.SetReadDeadline(time.Now().Add(time.Second))
	_ = r.config(cfgCmd, []byte{cmdUnbind})
}

// config sends one attribute and waits for its answer, passing over samples
// that arrive before it.
func (r *Reader) config(attr uint16, value []byte) error {
	data := []byte{unix.AF_UNSPEC, 0, byte(r.group >> 8), byte(r.group)}
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: attr, Data: value}})
	if err != nil {
		return err
	}
	req, err := r.conn.Send(netlink.Message{
		Header: netlink.Header{Type: msgConfig, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(data, attrs...),
	})
	if err != nil {
		return err
	}
	return r.answer(req.Header.Sequence)
}

// maxSkipped bounds how many datagrams of samples are passed over while an
// answer is awaited.
const maxSkipped = 1 << 12

func (r *Reader) answer(sequence uint32) error {
	for range maxSkipped {
		msgs, err := r.conn.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if m.Header.Type == netlink.Error && m.Header.Sequence == sequence {
				return nil // Receive turns an error number into err: this one was zero
			}
		}
	}
	return os.ErrDeadlineExceeded
}
