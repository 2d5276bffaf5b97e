// Command tocsin is the whole system in one program: "tocsin guard" on each
// device, and the tools around it. It parses flags and wires parts together; it
// decides nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit statuses, stable: scripts depend on them.
const (
	done   = 0
	failed = 1
	usage  = 2
)

// Main runs one command and returns its exit status: 0 done, 1 failed, 2 not
// understood. It touches no globals, so tests call it as often as they like.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	understood := false
	root := rootCommand()
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var mistake usageError
	switch {
	case err == nil:
		return done
	case errors.As(err, &mistake):
	case understood:
		fmt.Fprintf(stderr, "%s: %v\n", cmd.CommandPath(), err)
		return failed
	}
	fmt.Fprintf(stderr, "tocsin: %v\n", err)
	fmt.Fprintf(stderr, "usage: %s (see %s --help)\n", cmd.UseLine(), cmd.CommandPath())
	return usage
}

// rootCommand returns the whole tree of commands.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "tocsin",
		Short:         "One device sees the attack, every gate closes",
		Long:          "Tocsin reads log-ins, recognises who guesses passwords and blocks them in the kernel.",
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("tocsin {{.Version}}\n")
	root.AddCommand(
		guardCommand(), scanCommand(), replayCommand(), servicesCommand(),
		blockCommand(), unblockCommand(), allowCommand(), rulesCommand(), statusCommand(), sightingsCommand(),
		enrollCommand(), devicesCommand(), passCommand(), keysCommand(), rulesetCommand(),
	)
	root.AddCommand(fullCommands()...)
	return root
}

// A usageError is a mistake in what was typed.
type usageError struct{ error }

func mistake(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func buildVersion() string {
	if version != "dev" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return version
}
