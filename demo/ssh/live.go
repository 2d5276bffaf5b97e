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

// A stage is the town with everything running in it.
type stage struct {
	*town
	*crew
	desk *desk
}

// live plays the story in the town.
func live(ctx context.Context, o options, d *desk, t *town) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &stage{town: t, desk: d, crew: &crew{desk: d, tocsin: o.tocsin, at: t.at,
		config: func(m int) string {
			if m == hub {
				return "/etc/tocsin/hub.toml"
			}
			return "/etc/tocsin/guard.toml"
		},
		socket: func(m int) string {
			if m == hub {
				return "/run/box/hub/hub.sock"
			}
			return "/run/tocsin/guard.sock"
		}}}
	var record *recorder
	if o.record != "" {
		f, err := os.Create(o.record)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		record = &recorder{w: f}
	}
	d.say("Five machines in namespaces of their own: a hub; A, B and C of one owner (home); D of another (ben). On each device run " +
		"sshd, journald, nf_tables and tocsin guard (user tocsin, not root). This machine's users, files and firewall are not touched.\n" +
		"ATTEMPT is what sshd says, DECISION what guard or hub says, FRAME what the hub signs and sends, KERNEL what nft monitor or " +
		"a client sees.\n")
	if err := s.begin(ctx, record); err != nil {
		return err
	}
	stop := d.begin()
	err = s.play(ctx)
	if err == nil {
		d.holds, err = s.elements(ctx, devC)
	}
	stop()
	return errors.Join(err, s.why())
}

// begin starts what the story needs, each once the one before it works.
func (s *stage) begin(ctx context.Context, record *recorder) error {
	for _, m := range devices() {
		monitor := func(line string) { s.desk.monitored(m, line, time.Now()) }
		if err := s.keep(monitor, s.town.at(ctx, m, "nft", "monitor", "new", "elements")); err != nil {
			return err
		}
		if err := s.keep(func(string) {}, s.town.at(ctx, m, "/usr/sbin/sshd", "-D", "-f", "/run/box/sshd_config")); err != nil {
			return err
		}
		err := s.keep(newListener(s.desk, m, record).journal, s.town.at(ctx, m, "journalctl", "--follow", "--lines=all", "--output=json",
			"--quiet", "--identifier=sshd", "--identifier=sshd-session"))
		if err != nil {
			return err
		}
	}
	if err := s.crew.start(ctx); err != nil {
		return err
	}
	for _, m := range devices() {
		err := s.until(ctx, "sshd", func() bool {
			c, err := s.dial(ctx, netip.Addr{}, m)
			if err == nil {
				c.Close() // it only asked whether somebody is there
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// play is the story.
func (s *stage) play(ctx context.Context) error {
	who := s.desk.actors
	loud, anna, patient, second := who[0], who[1], who[2], who[3]
	for _, act := range []struct {
		text string
		play func() error
	}{
		{"A bot (203.0.113.7) opens a connection to B and keeps it. Then it guesses at A.", func() error { return s.attack(ctx, loud) }},
		{"The bot turns to the others. D belongs to Ben: the word of one owner binds nobody else's devices.",
			func() error { s.knock(ctx, loud); return nil }},
		{"Anna (203.0.113.50) mistypes her password twice at B, then remembers it.", func() error { return s.visit(ctx, anna) }},
		{"A patient bot (198.18.0.9) guesses once at A and once at B: too little for either. The hub adds up.",
			func() error { return s.attack(ctx, patient) }},
		{"It turns to the others; at C it never was.", func() error { s.knock(ctx, patient); return nil }},
		{"A second bot (198.51.100.9) guesses at C. Every device protects every other.", func() error { return s.attack(ctx, second) }},
		{"It turns to the others.", func() error { s.knock(ctx, second); return nil }},
		{"Anna comes back, to all of them.", func() error { return s.comeBack(ctx, anna) }},
	} {
		s.scene(ctx, act.text)
		if err := act.play(); err != nil {
			return err
		}
	}
	err := s.tour(ctx, patient)
	rest(ctx, settle+tellTime)
	return err
}

// attack guesses until some kernel holds the actor, and waits for the others.
func (s *stage) attack(ctx context.Context, a *actor) error {
	var open net.Conn
	if a.holds != 0 {
		var err error
		if open, err = s.greet(ctx, a); err != nil {
			return err
		}
		defer open.Close()
	}
	held := func() bool { return s.desk.look(a, func(x seen) bool { return len(x.heard) > 0 }) }
	for _, t := range a.tries {
		if held() || ctx.Err() != nil {
			break
		}
		if s.ssh(ctx, a.from, t.at, t.account, "123456") {
			return fmt.Errorf("%s was let in as %s", a.from, t.account)
		}
		rest(ctx, a.pause)
	}
	if err := s.held(ctx, a); err != nil {
		return err
	}
	if open != nil {
		s.tug(a, open)
	}
	return nil
}

// knock tries one more connection with each device at once. Only silence means
// that the kernel drops: an answer, even a refusal, came through.
func (s *stage) knock(ctx context.Context, a *actor) {
	var wg sync.WaitGroup
	for _, m := range devices() {
		wg.Go(func() {
			began := time.Now()
			c, err := s.dial(ctx, a.from, m)
			text, answers := fmt.Sprintf("its next connection: no answer within %v, dropped", patience), false
			var silence net.Error
			switch {
			case err == nil:
				c.Close() // its coming about is all that counts
				text, answers = "its next connection: answered after "+span(time.Since(began))+", let through", true
			case !errors.As(err, &silence) || !silence.Timeout():
				text = err.Error()
				s.desk.fail("%s: %v", a.from, err)
			}
			s.desk.post(event{at: time.Now(), on: m, kind: kernel, who: a.from, text: text, note: func(a *actor) { a.answered(m, answers) }})
		})
	}
	wg.Wait()
}

// greet opens a connection and waits for the server's greeting.
func (s *stage) greet(ctx context.Context, a *actor) (net.Conn, error) {
	c, err := s.dial(ctx, a.from, a.holds)
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
	dead := n == 0 && err != nil
	text := "the connection that it had open: still answered"
	if dead {
		text = "the connection that it had open: dead, too"
	}
	s.desk.post(event{at: time.Now(), on: a.holds, kind: kernel, who: a.from, text: text, note: func(a *actor) { a.cutOff = dead }})
}

// visit mistypes and then gets in.
func (s *stage) visit(ctx context.Context, a *actor) error {
	for _, t := range a.tries {
		if s.ssh(ctx, a.from, t.at, t.account, "rihgt hrose") {
			return errors.New("anna was let in with a wrong password")
		}
		rest(ctx, a.pause)
	}
	return s.login(ctx, a, devB)
}

// comeBack logs in everywhere.
func (s *stage) comeBack(ctx context.Context, a *actor) error {
	for _, m := range devices() {
		if err := s.login(ctx, a, m); err != nil {
			return err
		}
	}
	return nil
}

// login logs in as anna with the right password.
func (s *stage) login(ctx context.Context, a *actor, machine int) error {
	if !s.ssh(ctx, a.from, machine, "anna", "right horse") {
		return fmt.Errorf("anna is locked out of %s", machines[machine].name)
	}
	s.desk.post(event{at: time.Now(), on: machine, kind: kernel, who: a.from, note: func(a *actor) { a.answered(machine, true) }})
	return nil
}

// elements asks nft what a machine's sets of blocks hold in the end.
func (s *stage) elements(ctx context.Context, machine int) ([]string, error) {
	out, err := s.town.at(ctx, machine, "nft", "list", "table", "inet", "tocsin").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("nft: %w: %s", err, out)
	}
	return s.desk.among(string(out)), nil
}
