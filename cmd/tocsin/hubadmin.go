//go:build !small

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/logsource/file"
)

// hubSubcommands are what the operator of a hub does besides running it.
func hubSubcommands() []*cobra.Command {
	return []*cobra.Command{hubStatusCommand(), backupCommand(), restoreCommand(), accessCommand(), networksCommand(), authorityCommand(), notifyCommand()}
}

func hubStatusCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Tell how the hub is, what it keeps and who lags",
		Example: "  tocsin hub status\n  tocsin hub status --hub hub.example.net:7443 --token-file token --ca hub.pem",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, s, func() error { return printHub(w, s, time.Now()) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func printHub(w io.Writer, s api.Status, now time.Time) error {
	fmt.Fprintf(w, "tocsin hub %s, up %s\n", s.Version, span(now.Sub(s.Since)))
	fmt.Fprintf(w, "devices   %d of %s; %d connected, %d lagging\n", s.Devices, count(s.Owners, "owner"), s.Connected, s.Lagging)
	fmt.Fprintf(w, "keeps     %s in %d KiB, up to serial %d\n", count(int(s.Events), "event"), s.Bytes>>10, s.Serial)
	fmt.Fprintln(w, "networks  "+networksLine(s.Networks))
	if s.Unreplayed > 0 {
		fmt.Fprintf(w, "lost      %s that were acknowledged after the backup and could not be had again\n", count(int(s.Unreplayed), "sighting"))
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(s.Lists) > 0 {
		fmt.Fprintln(tab, "\nLIST\tRULES\tEPOCH\tSERIAL")
	}
	for _, l := range s.Lists {
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\n", clean(l.List), l.Rules, l.Epoch, l.Serial)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "warning: %s\n", clean(warning))
	}
	return nil
}

func networksLine(n api.NetworkTable) string {
	line := fmt.Sprintf("%s of %s, %s", count(n.Ranges, "range"), n.Date.Format(time.DateOnly), clean(n.Source))
	if n.Quality != "" {
		line += "; " + clean(n.Quality)
	}
	return line
}

func backupCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy all that the hub keeps into a file, while it runs",
		Long: "Backup writes the hub's database, as of one moment, and its keys into a file. The file appears\n" +
			"when it is whole, and nothing is overwritten. Whoever has it can pose as the hub: keep it as you\n" +
			"would keep the hub.",
		Example: "  tocsin hub backup /srv/backup/hub-$(date +%F).tar.gz",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error { return t.backup(ctx, cmd, c, args[0]) })
		},
	}
	t.flags(cmd)
	return cmd
}

func (t *hubTalk) backup(ctx context.Context, cmd *cobra.Command, c *api.Client, name string) error {
	if err := free(name); err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), []string{"-"}) // packed: how much there will be is not known
	describe(bar, "copying")
	var size int64
	err := durable.WriteFile(name, 0o600, func(w io.Writer) error {
		n := &counter{w: w, bar: bar}
		err := c.Backup(ctx, n)
		size = n.n
		return err
	})
	bar.Finish()
	if err != nil {
		return fmt.Errorf("there is no backup: %w", err)
	}
	w := cmd.OutOrStdout()
	return t.print(w, map[string]any{"file": name, "bytes": size}, func() error {
		_, err := fmt.Fprintf(w, "%s holds the hub, in %d KiB. Keep it as you would keep the hub: its keys are in it.\n", name, (size+1023)>>10)
		return err
	})
}

// counter counts what is written, on a bar, too.
type counter struct {
	w   io.Writer
	bar *progress
	n   int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.bar.Add(n)
	return n, err
}

func describe(p *progress, word string) {
	if p.bar != nil {
		progressbar.OptionSetDescription(word)(p.bar)
	}
}

func restoreCommand() *cobra.Command {
	var folder string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Unpack a backup into a folder, for a hub to start from",
		Long: "Restore unpacks a backup into a folder that holds no hub yet. Stop the hub first; the old one\n" +
			"must never run again beside it. Started from there, the hub begins a new epoch, all guards follow,\n" +
			"and it is offered again what it was told since the backup.",
		Example: "  systemctl stop tocsin-hub\n  mv /var/lib/tocsin-hub /var/lib/tocsin-hub.old\n" +
			"  tocsin hub restore hub-2026-11-20.tar.gz\n  systemctl start tocsin-hub",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := restore(cmd, args[0], folder); err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(w).Encode(map[string]any{"folder": folder})
			}
			_, err := fmt.Fprintf(w, "%s holds the hub of the backup. Start it: a new epoch begins, and all guards follow.\n", folder)
			return err
		},
	}
	cmd.Flags().StringVar(&folder, "folder", config.DefaultHub().Folder, "folder of the hub")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func restore(cmd *cobra.Command, name, folder string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	bar := newProgress(cmd.ErrOrStderr(), []string{strings.TrimSuffix(name, ".gz")})
	describe(bar, "unpacking")
	defer bar.Finish()
	if err := hub.Restore(folder, io.TeeReader(f, barWriter{bar})); err != nil {
		return err
	}
	uid, gid, err := ownerOf(folder)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	return chownAll(folder, uid, gid)
}

func authorityCommand() *cobra.Command {
	var folder string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "authority",
		Short: "Print the hub's authority, which is public: what --ca wants elsewhere",
		Long: "Authority prints the certificate by which people and programs elsewhere know the hub. It reads the\n" +
			"hub's folder, and asks nobody.",
		Example: "  tocsin hub authority > hub.pem\n  tocsin devices --hub hub.example.net:7443 --ca hub.pem --token-file token",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := keys.OpenAuthority(filepath.Join(folder, "keys"))
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s holds no hub: name its folder with --folder", folder)
			}
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				sum := a.Sum()
				return json.NewEncoder(w).Encode(map[string]string{"pem": string(a.PEM()), "sha256": hex.EncodeToString(sum[:])})
			}
			_, err = w.Write(a.PEM())
			return err
		},
	}
	cmd.Flags().StringVar(&folder, "folder", config.DefaultHub().Folder, "folder of the hub")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func networksCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "networks",
		Short: "Tell how old and how good the table of networks is",
		Long: "The table tells which network (autonomous system) an address belongs to: devices in one network\n" +
			"are no independent witnesses. A small one comes with the program; import a newer one.",
		Example: "  tocsin hub networks\n  tocsin hub networks import asn-ipv4.csv asn-ipv6.csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				n, err := c.Networks(ctx)
				return t.printNetworks(cmd.OutOrStdout(), n, err)
			})
		},
	}
	t.flags(cmd)
	cmd.AddCommand(importNetworksCommand())
	return cmd
}

func (t *hubTalk) printNetworks(w io.Writer, n api.NetworkTable, err error) error {
	if err != nil {
		return err
	}
	return t.print(w, n, func() error {
		_, err := fmt.Fprintln(w, networksLine(n))
		return err
	})
}

func importNetworksCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Replace the table by CSV files of start, end, number, name",
		Long: "Import replaces the table of networks by these files, taken together: one range a line, its first\n" +
			"and last address, the number of the autonomous system and its name. .gz, .xz and .zst are unpacked.\n" +
			"The packages @ip-location-db/asn and others come in this form.",
		Example: "  tocsin hub networks import asn-ipv4.csv.gz asn-ipv6.csv.gz",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var parts []io.Reader
			for _, name := range args {
				f, err := file.Open(name)
				if err != nil {
					return err
				}
				defer f.Close()
				parts = append(parts, f, strings.NewReader("\n")) // a last line may lack its end
			}
			bar := newProgress(cmd.ErrOrStderr(), args)
			err := t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				n, err := c.ImportNetworks(ctx, io.TeeReader(io.MultiReader(parts...), barWriter{bar}))
				return t.printNetworks(cmd.OutOrStdout(), n, err)
			})
			bar.Finish()
			return err
		},
	}
	t.flags(cmd)
	return cmd
}
