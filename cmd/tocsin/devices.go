package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

func devicesCommand() *cobra.Command {
	var t hubTalk
	var owner string
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List the devices of the hub: whose they are, whether they are connected, and who lags",
		Long: "Devices lists the devices of the hub. BEHIND is how many frames of its lists a device has not\n" +
			"yet in force in its kernel; - is a device that has not said. CLUES is how many things it\n" +
			"noticed about itself.",
		Example: "  tocsin devices\n  tocsin devices --owner ada\n  tocsin devices add --owner ada --group nas\n" +
			"  tocsin devices show d-abcd",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				return listDevices(ctx, c, tocsin.OwnerID(owner), cmd.OutOrStdout(), t.json)
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "only the devices of this owner")
	t.flags(cmd)
	cmd.AddCommand(showDeviceCommand(), addDeviceCommand(), labelDeviceCommand(), groupDeviceCommand(), suspectDeviceCommand(), revokeDeviceCommand())
	return cmd
}

func listDevices(ctx context.Context, c *api.Client, owner tocsin.OwnerID, w io.Writer, asJSON bool) error {
	enc := json.NewEncoder(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for d, err := range c.Devices(ctx, owner) {
		if err != nil {
			return err
		}
		if asJSON {
			if err := enc.Encode(d); err != nil {
				return err
			}
			continue
		}
		if n++; n == 1 {
			fmt.Fprintln(tab, "NAME\tID\tOWNER\tSTATE\tBEHIND\tCLUES\tCERTIFICATE\tVERSION")
		}
		certificate := "-"
		if !d.Certificate.IsZero() {
			certificate = d.Certificate.Local().Format(time.DateOnly)
		}
		fmt.Fprintln(tab, strings.Join([]string{
			orDash(clean(d.Name)), clean(string(d.ID)), clean(string(d.Owner)), stateOf(d, time.Now()), behind(d), clues(d), certificate, orDash(clean(d.Version)),
		}, "\t"))
	}
	if n == 0 && !asJSON {
		fmt.Fprintln(w, "No device is enrolled: tocsin devices add --owner NAME tells how to enrol one.")
	}
	return tab.Flush()
}

// clues returns how many clues of a device about itself the hub keeps.
func clues(d api.Device) string {
	if d.Clues == 0 {
		return "-"
	}
	return strconv.FormatUint(d.Clues, 10)
}

// stateOf says in few words how a device is.
func stateOf(d api.Device, now time.Time) string {
	if !d.Revoked.IsZero() {
		return "revoked"
	}
	word := "silent"
	switch {
	case d.Connected:
		word = "connected"
	case !d.Seen.IsZero():
		word += " " + span(now.Sub(d.Seen))
	}
	if d.Suspect {
		word += ", suspect"
	}
	if d.Honeypot {
		word += ", honeypot"
	}
	return word
}

// behind returns by how many frames the list lags that lags most.
func behind(d api.Device) string {
	if len(d.Lists) == 0 || !d.Revoked.IsZero() {
		return "-"
	}
	var most uint64
	said := false
	for _, l := range d.Lists {
		most = max(most, l.Behind)
		said = said || l.Epoch != 0
	}
	if !said && !d.Connected {
		return "-"
	}
	return strconv.FormatUint(most, 10)
}

func showDeviceCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Tell all that the hub knows of a device",
		Example: "  tocsin devices show d-abcd",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.device(cmd, func(ctx context.Context, c *api.Client) (api.Device, error) {
				return c.Device(ctx, tocsin.DeviceID(args[0]))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// device prints what do returns.
func (t *hubTalk) device(cmd *cobra.Command, do func(context.Context, *api.Client) (api.Device, error)) error {
	return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
		d, err := do(ctx, c)
		if err != nil {
			return err
		}
		return t.print(cmd.OutOrStdout(), d, func() error { return printDevice(cmd.OutOrStdout(), d, time.Now()) })
	})
}

func printDevice(w io.Writer, d api.Device, now time.Time) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(tab, "%s\t%s\n", name, value)
		}
	}
	row("device", clean(string(d.ID)))
	row("name", clean(d.Name))
	row("owner", clean(string(d.Owner)))
	row("state", stateOf(d, now))
	row("version", clean(d.Version))
	row("note", clean(d.Note))
	row("groups", clean(strings.Join(d.Groups, ", ")))
	for _, k := range slices.Sorted(maps.Keys(d.Labels)) {
		row("label", clean(k+"="+d.Labels[k]))
	}
	row("enrolled", moment(d.Enrolled))
	if !d.Revoked.IsZero() {
		row("revoked", moment(d.Revoked))
	}
	row("last said", moment(d.Seen))
	if d.Clues > 0 {
		row("noticed", count(int(d.Clues), "clue")+" about itself")
	}
	if !d.Certificate.IsZero() {
		row("certificate", "until "+moment(d.Certificate))
	}
	if ahead := time.Duration(d.Offset * float64(time.Second)); ahead.Abs() >= time.Second {
		row("clock", fmt.Sprintf("%s %s", span(ahead.Abs()), map[bool]string{true: "ahead", false: "behind"}[ahead > 0]))
	}
	for _, l := range d.Lists {
		row("list", fmt.Sprintf("%s at %d:%d, %d behind", clean(l.List), l.Epoch, l.Serial, l.Behind))
	}
	return tab.Flush()
}

func addDeviceCommand() *cobra.Command {
	var t hubTalk
	var wish api.TokenWish
	var owner, span string
	cmd := &cobra.Command{
		Use:   "add --owner OWNER",
		Short: "Make a token that lets one device enrol, once",
		Long: "Add makes an enrolment token and prints the command to run on the device. The token lets one\n" +
			"device in, once, within the hour: hand it over as you would a password.",
		Example: "  tocsin devices add --owner ada --group nas\n  tocsin devices add --owner us --honeypot --for 10m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if owner == "" {
				return mistake("whose device will it be? say --owner NAME")
			}
			wish.Owner = tocsin.OwnerID(owner)
			if wish.Seconds, err = seconds("--for", span); err != nil {
				return err
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				token, err := c.NewToken(ctx, wish)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, token, func() error {
					_, err := fmt.Fprintf(w, "Run this on the device, as root, before %s; it works once:\n\n  tocsin enroll %s\n\n",
						moment(token.Until), token.Token)
					return err
				})
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "whose device it will be: what one device of an owner sees protects all of his")
	cmd.Flags().StringArrayVar(&wish.Groups, "group", nil, "group that it belongs to (repeatable)")
	cmd.Flags().BoolVar(&wish.Honeypot, "honeypot", false, "nobody logs in there: whoever tries is an attacker")
	cmd.Flags().StringVar(&span, "for", "", "how long the token holds, at most and by default 1h")
	t.flags(cmd)
	return cmd
}

func labelDeviceCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "label ID KEY=VALUE...",
		Short:   "Set labels of a device; KEY= takes one away",
		Example: "  tocsin devices label d-abcd room=attic shelf=3\n  tocsin devices label d-abcd shelf=",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, a := range args[1:] {
				if k, _, ok := strings.Cut(a, "="); !ok || k == "" {
					return mistake("%q: write KEY=VALUE, or KEY= to take a label away", a)
				}
			}
			return t.device(cmd, func(ctx context.Context, c *api.Client) (api.Device, error) {
				id := tocsin.DeviceID(args[0])
				d, err := c.Device(ctx, id)
				if err != nil {
					return d, err
				}
				labels := maps.Clone(d.Labels)
				if labels == nil {
					labels = map[string]string{}
				}
				for _, a := range args[1:] {
					k, v, _ := strings.Cut(a, "=")
					if labels[k] = v; v == "" {
						delete(labels, k)
					}
				}
				return c.ChangeDevice(ctx, id, api.DeviceChange{Labels: &labels})
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func groupDeviceCommand() *cobra.Command {
	var t hubTalk
	var none bool
	cmd := &cobra.Command{
		Use:     "group ID GROUP...",
		Short:   "Say which groups a device belongs to, in place of those before",
		Example: "  tocsin devices group d-abcd nas attic\n  tocsin devices group d-abcd --none",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			groups := args[1:]
			if none == (len(groups) > 0) {
				return mistake("name the groups, or say --none")
			}
			return t.device(cmd, func(ctx context.Context, c *api.Client) (api.Device, error) {
				return c.ChangeDevice(ctx, tocsin.DeviceID(args[0]), api.DeviceChange{Groups: &groups})
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "it belongs to no group")
	t.flags(cmd)
	return cmd
}

func suspectDeviceCommand() *cobra.Command {
	var t hubTalk
	var end bool
	cmd := &cobra.Command{
		Use:   "suspect ID",
		Short: "Let the word of a device bind nobody: it may be in other hands",
		Long: "Suspect leaves a device connected and protected, but what it reports blocks nobody any more.\n" +
			"--end believes it again.",
		Example: "  tocsin devices suspect d-abcd\n  tocsin devices suspect d-abcd --end",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			suspect := !end
			return t.device(cmd, func(ctx context.Context, c *api.Client) (api.Device, error) {
				return c.ChangeDevice(ctx, tocsin.DeviceID(args[0]), api.DeviceChange{Suspect: &suspect})
			})
		},
	}
	cmd.Flags().BoolVar(&end, "end", false, "believe it again")
	t.flags(cmd)
	return cmd
}

func revokeDeviceCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Throw a device out for ever, at once",
		Long: "Revoke closes the connections of a device and lets it in never again under this identity.\n" +
			"To have it back, enrol it anew. A device that is only doubted: tocsin devices suspect.",
		Example: "  tocsin devices revoke d-abcd",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.device(cmd, func(ctx context.Context, c *api.Client) (api.Device, error) {
				return c.RevokeDevice(ctx, tocsin.DeviceID(args[0]))
			})
		},
	}
	t.flags(cmd)
	return cmd
}
