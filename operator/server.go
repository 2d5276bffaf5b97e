package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

const (
	maxRequest  = 64 << 10 // bytes
	maxPeers    = 16       // at once
	requestTime = 5 * time.Second
	answerTime  = 60 * time.Second
	readTime    = 10 * time.Minute // for a person who pages through rules
)

// A Server listens on a Unix socket that only the guard's own user, root and
// members of the socket's group may use.
type Server struct {
	listener *net.UnixListener
	path     string
	group    int // owner group of the socket
	log      *slog.Logger
}

// Listen makes the socket at path, mode 0660. A socket that nobody answers is a
// leftover and is replaced; one that answers belongs to another guard. A group
// of "" leaves the group as it is.
func Listen(path, group string, log *slog.Logger) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		return nil, errors.Join(c.Close(), fmt.Errorf("control socket %s: another guard answers there: stop it, or give this one its own socket and state folder", path))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// Bound with no rights for others from the first moment.
	old := unix.Umask(0o117)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := &Server{listener: l, path: path, log: log}
	if err := s.setGroup(group); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

func (s *Server) setGroup(name string) error {
	if name != "" {
		g, err := user.LookupGroup(name)
		if err != nil {
			return fmt.Errorf("control socket: %w", err)
		}
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return fmt.Errorf("control socket: group %s: %w", name, err)
		}
		if err := os.Chown(s.path, -1, gid); err != nil {
			return fmt.Errorf("control socket: give it to group %s: %w", name, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(s.path, &st); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	s.group = int(st.Gid)
	return nil
}

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context, h Handler) error {
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxPeers)
	for {
		c, err := s.listener.AcceptUnix()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("control socket: %w", err)
		}
		select {
		case slots <- struct{}{}:
		default:
			s.reply(c, answer{Error: "too many at once: try again", End: true})
			c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			s.serve(ctx, c, h)
		})
	}
}

func (s *Server) serve(ctx context.Context, c *net.UnixConn, h Handler) {
	who, err := s.peer(c)
	if err != nil {
		s.log.Warn("order refused", logkey.User, who, logkey.Err, err)
		s.reply(c, answer{Error: ErrRefused.Error(), End: true})
		return
	}
	if err := c.SetReadDeadline(time.Now().Add(requestTime)); err != nil {
		return
	}
	var r request
	dec := json.NewDecoder(io.LimitReader(c, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		s.reply(c, answer{Error: "request not understood: " + err.Error(), End: true})
		return
	}
	// A peer that does not read on keeps neither its place nor the guard.
	held, leave := context.WithTimeout(ctx, readTime)
	defer leave()
	stop := context.AfterFunc(held, func() {
		if err := c.SetWriteDeadline(time.Now()); err != nil {
			s.log.Debug("answer not cut short", logkey.Err, err)
		}
	})
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	a := answer{End: true}
	err = dispatch(ctx, r, who, h, c, &a)
	stop()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	if err != nil {
		a.Error = err.Error()
	}
	s.reply(c, a)
}

// dispatch calls h and writes all but the last line.
func dispatch(ctx context.Context, r request, who string, h Handler, w io.Writer, last *answer) error {
	enc := json.NewEncoder(w)
	switch {
	case r.Order != nil:
		r.Order.By = who
		done, err := h.Order(ctx, *r.Order)
		if err != nil {
			return err
		}
		last.Done = &done
	case r.Rules != nil:
		return h.Rules(ctx, func(rule Rule) error { return enc.Encode(answer{Rule: &rule}) })
	case r.Sightings != nil:
		return h.Sightings(ctx, func(si tocsin.Sighting) error { return enc.Encode(answer{Sighting: &si}) })
	case r.Status != nil:
		st, err := h.Status(ctx)
		if err != nil {
			return err
		}
		last.Status = &st
	default:
		return errors.New("empty request")
	}
	return nil
}

func (s *Server) reply(c net.Conn, a answer) {
	if err := c.SetWriteDeadline(time.Now().Add(requestTime)); err != nil {
		return
	}
	if err := json.NewEncoder(c).Encode(a); err != nil {
		s.log.Debug("answer not delivered", logkey.Err, err)
	}
}

// peer returns who is at the other end, by the kernel's word, and an error if
// it may not give orders.
func (s *Server) peer(c *net.UnixConn) (who string, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return "", err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return "", err
	}
	if credErr != nil {
		return "", credErr
	}
	uid := strconv.FormatUint(uint64(cred.Uid), 10)
	u, lookup := user.LookupId(uid)
	who = uid
	if lookup == nil {
		who = u.Username
	}
	if cred.Uid == 0 || int(cred.Uid) == os.Geteuid() || int(cred.Gid) == s.group {
		return who, nil
	}
	if lookup == nil {
		groups, err := u.GroupIds()
		if err == nil && slices.Contains(groups, strconv.Itoa(s.group)) {
			return who, nil
		}
	}
	return who, fmt.Errorf("uid %s is neither root nor in group %d", uid, s.group)
}
