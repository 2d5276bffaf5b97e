package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// A stage is the box with everything running in it.
type stage struct {
	*box
	desk  *desk
	ended []<-chan error // of what must go on running
}

// live plays the story in the box.
func live(ctx context.Context, o options, d *desk, b *box) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &stage{box: b, desk: d}
	l := newListener(d)
	if o.record != "" {
		if l.record, err = os.Create(o.record); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.record.Close()) }()
	}
	d.say("A device of its own, in namespaces of its own: 192.0.2.1 with sshd, journald, nf_tables and tocsin guard " +
		"(user tocsin, not root). This machine's users, files and firewall are not touched.\n" +
		"ATTEMPT is what sshd says, DECISION what the guard says, KERNEL what nft monitor or a client sees.\n")
	if err := s.start(ctx, o, l); err != nil {
		return err
	}
	stop := d.begin()
	err = s.play(ctx)
	if err == nil {
		d.holds, err = s.elements(ctx)
	}
	stop()
	for _, ended := range s.ended {
		select {
		case e := <-ended:
			err = errors.Join(err, e)
		default:
		}
	}
	return err
}

// start starts what the story needs, each once the one before it works.
func (s *stage) start(ctx context.Context, o options, l *listener) error {
	if err := s.keep(ctx, s.desk.monitor, "nft", "monitor", "new", "elements"); err != nil {
		return err
	}
	if err := s.keep(ctx, func(string) {}, "/usr/sbin/sshd", "-D", "-f", "/run/box/sshd_config"); err != nil {
		return err
	}
	err := s.keep(ctx, l.journal, "journalctl", "--follow", "--lines=all", "--output=json", "--quiet",
		"--identifier=sshd", "--identifier=sshd-session")
	if err != nil {
		return err
	}
	if err := s.keep(ctx, s.desk.guard, o.tocsin, "guard", "--json"); err != nil {
		return err
	}
	err = until(ctx, "the guard", func() bool {
		_, err := s.run(ctx, o.tocsin, "status")
		return err == nil
	})
	if err != nil {
		return s.why(err)
	}
	return s.why(until(ctx, "sshd", func() bool {
		c, err := s.dial(ctx, netip.Addr{})
		if err == nil {
			c.Close() // it only asked whether somebody is there
		}
		return err == nil
	}))
}

// keep starts a program that must go on running, and hands its lines to f.
func (s *stage) keep(ctx context.Context, f func(string), name string, args ...string) error {
	ended, err := s.box.follow(ctx, f, name, args...)
	s.ended = append(s.ended, ended)
	return err
}

// why adds to an error which program ended, and with which words.
func (s *stage) why(err error) error {
	if err == nil {
		return nil
	}
	for _, ended := range s.ended {
		select {
		case e := <-ended:
			err = errors.Join(err, e)
		default:
		}
	}
	return err
}

func (s *stage) scene(ctx context.Context, text string) {
	rest(ctx, settle+tellTime) // what happened before is told before
	s.desk.post(event{at: time.Now(), kind: scene, text: text})
}

// play is the story. The slow bot guesses all through it.
func (s *stage) play(ctx context.Context) error {
	all := s.desk.actors
	slow, loud, anna, second, six, old := all[0], all[1], all[2], all[3], all[4], all[5]
	var wg sync.WaitGroup
	var slowErr error
	s.scene(ctx, "A slow bot (198.18.0.9) guesses now and then, all through what follows. A loud bot (203.0.113.7) does not wait.")
	wg.Go(func() { slowErr = s.attack(ctx, slow) })
	err := s.attack(ctx, loud)
	if err == nil {
		s.scene(ctx, "Anna (203.0.113.50) mistypes her password twice, then remembers it.")
		err = s.visit(ctx, anna)
	}
	if err == nil {
		s.scene(ctx, "A second bot (198.51.100.9) opens a connection, keeps it open, and guesses on others.")
		err = s.attack(ctx, second)
	}
	if err == nil {
		s.scene(ctx, "An IPv6 bot changes its address with every guess, within its own 2001:db8:66::/64.")
		err = s.attack(ctx, six)
	}
	if err == nil {
		s.scene(ctx, "The owner's old script (198.51.100.20, on the allowlist) fails and fails.")
		err = s.insist(ctx, old)
	}
	wg.Wait()
	if err = errors.Join(err, slowErr); err != nil {
		return s.why(err)
	}
	s.scene(ctx, "Anna comes back.")
	err = s.knock(ctx, anna)
	rest(ctx, settle+tellTime)
	return err
}

// attack guesses until the kernel holds the actor, then looks whether it drops
// him.
func (s *stage) attack(ctx context.Context, a *actor) error {
	var open net.Conn
	if a.holds {
		var err error
		if open, err = s.greet(ctx, a); err != nil {
			return err
		}
		defer open.Close()
	}
	held := func() bool { return s.desk.look(a, func(x seen) bool { return x.held }) }
	n := 0
	for ; n < len(a.tries) && !held() && ctx.Err() == nil; n++ {
		if s.ssh(ctx, a.source(n), a.tries[n], "123456") {
			return fmt.Errorf("%s was let in as %s", a.who(), a.tries[n])
		}
		rest(ctx, a.pause)
	}
	if err := until(ctx, "the kernel to hold "+a.who(), held); err != nil {
		return err
	}
	if open != nil {
		s.tug(a, open)
	}
	s.probe(ctx, a, a.source(n))
	return nil
}

// probe tries one more connection. Only silence means that the kernel drops: an
// answer, even a refusal, came through.
func (s *stage) probe(ctx context.Context, a *actor, from netip.Addr) {
	began := time.Now()
	c, err := s.dial(ctx, from)
	text, passes := fmt.Sprintf("next connection: no answer within %v, dropped", patience), false
	var silence net.Error
	switch {
	case err == nil:
		c.Close() // its coming about is all that counts
		text, passes = "next connection: answered after "+span(time.Since(began))+", let through", true
	case !errors.As(err, &silence) || !silence.Timeout():
		text = "next connection: " + err.Error()
		s.desk.fail("%s: %v", a.who(), err)
	}
	s.desk.post(event{at: time.Now(), kind: kernel, who: from.String(), text: text, note: func(a *actor) {
		a.afterward, a.passes = "dropped", passes
		if passes {
			a.afterward = "let in"
		}
	}})
}

// greet opens a connection and waits for the server's greeting.
func (s *stage) greet(ctx context.Context, a *actor) (net.Conn, error) {
	c, err := s.dial(ctx, a.source(0))
	if err != nil {
		return nil, err
	}
	hello, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(hello, "SSH-2.0-") {
		c.Close() // the error that counts is known
		return nil, fmt.Errorf("sshd greets with %q: %w", hello, err)
	}
	return c, nil
}

// tug looks whether the connection that was open before the block still works:
// sshd would answer to a greeting with its key exchange.
func (s *stage) tug(a *actor, c net.Conn) {
	c.SetDeadline(time.Now().Add(patience)) // a failing one shows in what follows
	_, err := c.Write([]byte("SSH-2.0-demo\r\n"))
	n := 0
	if err == nil {
		n, err = c.Read(make([]byte, 64))
	}
	text := "the connection opened before the block: still answered"
	if n == 0 && err != nil {
		text = "the connection opened before the block: dead, too"
	}
	s.desk.post(event{at: time.Now(), kind: kernel, who: a.who(), text: text, note: func(a *actor) {
		a.cut, a.cutOff = "still open", n == 0 && err != nil
		if a.cutOff {
			a.cut = "cut"
		}
	}})
}

// visit mistypes and then gets in.
func (s *stage) visit(ctx context.Context, a *actor) error {
	for n, account := range a.tries {
		if s.ssh(ctx, a.source(n), account, "rihgt hrose") {
			return errors.New("anna was let in with a wrong password")
		}
		rest(ctx, a.pause)
	}
	return s.knock(ctx, a)
}

// knock logs in as anna with the right password.
func (s *stage) knock(ctx context.Context, a *actor) error {
	if !s.ssh(ctx, a.source(0), "anna", "right horse") {
		return errors.New("anna is locked out")
	}
	s.desk.post(event{at: time.Now(), kind: kernel, who: a.who(), text: "the client logged in: let through", note: func(a *actor) {
		a.afterward, a.passes = "let in", true
	}})
	return nil
}

// insist fails more often than anybody may who is not on the allowlist.
func (s *stage) insist(ctx context.Context, a *actor) error {
	for n, account := range a.tries {
		if s.ssh(ctx, a.source(n), account, "123456") {
			return fmt.Errorf("%s was let in as %s", a.who(), account)
		}
		rest(ctx, a.pause)
	}
	s.probe(ctx, a, a.source(0))
	return ctx.Err()
}

// elements asks nft what the guard's sets of blocks hold in the end.
func (s *stage) elements(ctx context.Context) ([]string, error) {
	list, err := s.run(ctx, "nft", "list", "table", "inet", "tocsin")
	if err != nil {
		return nil, err
	}
	return s.desk.among(list), nil
}
