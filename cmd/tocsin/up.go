//go:build !small

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/uplink"
)

func upCommand() *cobra.Command {
	var g guardFlags
	var h hubFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run hub and guard of this machine in one process",
		Long: "Up is all there is to start on the only machine, or on the one that shall be the hub of\n" +
			"the others: it guards this machine, and takes in what further devices report.",
		Example: "  tocsin up\n  tocsin up --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return up(cmd, &g, &h) },
	}
	h.flags(cmd, "hub-config")
	cmd.Flags().StringVar(&g.file, "config", "", "the guard's configuration file (default "+defaultConfig+", if it exists)")
	cmd.Flags().BoolVar(&g.dryRun, "dry-run", false, "decide and tell, but block nothing")
	cmd.Flags().StringVar(&g.since, "since", "", "read logs back from this date at the first start (default 7 days ago)")
	cmd.Flags().BoolVarP(&g.verbose, "verbose", "v", false, "tell every attempt")
	cmd.Flags().BoolVar(&g.json, "json", false, "log as JSON")
	return cmd
}

func up(cmd *cobra.Command, g *guardFlags, hf *hubFlags) error {
	hcfg, err := hf.load()
	if err != nil {
		return err
	}
	gcfg, err := g.load()
	if err != nil {
		return err
	}
	since, err := parseSince(g.since, time.Now())
	if err != nil {
		return err
	}
	log := g.logger(cmd)
	if err := dropPower(gcfg, log, hubFolders(hcfg)...); err != nil {
		return err
	}
	ready := make(chan struct{})
	h, err := openHub(cmd.Context(), nil, hcfg, log.With(logkey.Part, "hub"), func() { close(ready) })
	if err != nil {
		return err
	}
	defer h.close()
	parts := []run.Part{
		{Name: "hub", Run: h.hub.Run},
		{Name: "guard", Run: func(ctx context.Context) error {
			select {
			case <-ready:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := enrolSelf(ctx, h, gcfg, log); err != nil {
				return err
			}
			if err := h.welcome(ctx, cmd.OutOrStdout()); err != nil {
				return err
			}
			// A pass is redeemed from the address that is blocked.
			return runGuard(ctx, g, gcfg, since, log.With(logkey.Part, "guard"), h.port)
		}},
	}
	return run.All(cmd.Context(), log, append(parts, h.beside(hcfg)...)...)
}

// enrolSelf makes this machine the hub's first device.
func enrolSelf(ctx context.Context, h *running, cfg config.Config, log *slog.Logger) error {
	if uplink.Enrolled(cfg.HubFolder) {
		return nil
	}
	token, _, err := h.hub.Invite(ctx, firstOwner)
	if err != nil {
		return fmt.Errorf("enrol this machine: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	model, firmware := machine(os.DirFS("/"))
	id, owner, err := uplink.Enrol(ctx, cfg.HubFolder, token, uplink.About{
		Name: name, Model: model, Firmware: firmware, Version: buildVersion(),
	})
	if err != nil {
		return fmt.Errorf("enrol this machine: %w", err)
	}
	log.Info("this machine is enrolled with its own hub", logkey.Device, id, "owner", owner)
	return nil
}
