//go:build !small

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// listenConsole opens the console's address for this machine. A hub without it
// does all that matters: a port that is taken is no reason not to run.
func listenConsole(cfg config.Hub, log *slog.Logger) net.Listener {
	if cfg.Console == "" {
		return nil
	}
	l, err := net.Listen("tcp", cfg.Console)
	if err != nil {
		log.Error("no console by plain HTTP on this machine, all else works: name a free port with console.listen and start again",
			logkey.Addr, cfg.Console, logkey.Err, err)
		return nil
	}
	return l
}

// inJournal reports whether what is printed ends up in a log: a secret there
// would outlive its time.
func inJournal() bool { return os.Getenv("JOURNAL_STREAM") != "" }

// welcome tells how to make the first account of the console, while nobody has
// one.
func (r *running) welcome(ctx context.Context, w io.Writer) error {
	settled, err := r.hub.Settled(ctx)
	if err != nil || settled {
		return err
	}
	addresses := r.hub.Consoles()
	if inJournal() || len(addresses) == 0 {
		_, err := fmt.Fprintln(w, "Nobody can sign in to the console yet. Make the first account on this machine: tocsin users add NAME --role admin")
		return err
	}
	link, until, err := r.hub.Welcome(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nThe console is at %s/\nNobody has an account there yet. This link makes the first, once, before %s:\n\n  %[1]s%[3]s\n\n",
		addresses[0], until.Local().Format("2006-01-02 15:04"), link)
	return err
}
