//go:build !small

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/contact"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/flows/zeek"
)

// rankFlags are those of tocsin controllers rank.
type rankFlags struct {
	flows   []string
	devices string
	allow   []string
	json    bool
	all     bool
	seed    uint64
}

func rankCommand() *cobra.Command {
	var f rankFlags
	cmd := &cobra.Command{
		Use:   "rank --flows CONN.LOG... --devices DEVICES.CSV [flags]",
		Short: "Rank what devices contacted by how much it looks like a controller",
		Long: "Rank reads connections as Zeek tells them (conn.log as TSV or JSON; - is standard input; .gz, .xz and\n" +
			".zst are unpacked) and a table of the devices (CSV with the columns device, address, model, firmware,\n" +
			"compromised and first_attack_act, and owner if you like). It ranks the addresses that compromised\n" +
			"devices contacted by how much each looks like what commands them. It asks nobody and contacts nobody.",
		Example: "  tocsin controllers rank --flows conn.log --devices devices.csv\n" +
			"  tocsin controllers rank --devices devices.csv --allow 203.0.113.0/24 --json --flows conn.*.log.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.flows = append(f.flows, args...) // what a shell made of --flows conn.*.log
			return f.run(cmd)
		},
	}
	cmd.Flags().StringArrayVar(&f.flows, "flows", nil, "a conn.log of Zeek (repeatable; files named behind it count too)")
	cmd.Flags().StringVar(&f.devices, "devices", "", "the table of devices")
	cmd.Flags().StringArrayVar(&f.allow, "allow", nil, "a prefix that is no candidate, such as the vendor's servers (repeatable)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print all candidates as one JSON array, best first")
	cmd.Flags().BoolVar(&f.all, "all", false, "print all candidates, not only the first 20")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "of the permutation tests: the same seed gives the same ranking")
	return cmd
}

// rankedJSON is one candidate as JSON, with what makes its numbers repeatable.
type rankedJSON struct {
	controller.Candidate
	Destinations int    `json:"destinations"` // that q is corrected for
	Seed         uint64 `json:"seed"`
}

func (f *rankFlags) run(cmd *cobra.Command) error {
	allow, err := f.check()
	if err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	// As in scan: there is nothing to put in order.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	table, err := openDevices(f.devices)
	if err != nil {
		return err
	}
	contacts, read, unread := f.read(cmd, table)
	if read == 0 && len(unread) > 0 {
		return errors.Join(unread...)
	}
	r := controller.Rank(controller.Input{Devices: table.devices, Contacts: contacts, Allow: allow, Seed: f.seed})
	if r.Lacking != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), sentence(string(r.Lacking)))
	}
	if f.json {
		list := make([]rankedJSON, len(r.Candidates))
		for i, c := range r.Candidates {
			list[i] = rankedJSON{c, r.Observed, r.Seed}
		}
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(list)
	} else {
		err = showRanking(cmd.OutOrStdout(), r, f.all)
	}
	return errors.Join(append(unread, err)...)
}

func (f *rankFlags) check() (allow []netip.Prefix, err error) {
	if len(f.flows) == 0 {
		return nil, mistake("--flows: name at least one conn.log, or - for standard input")
	}
	if f.devices == "" {
		return nil, mistake("--devices: name the table of devices")
	}
	for _, text := range f.allow {
		p, err := netip.ParsePrefix(text)
		if a, bad := netip.ParseAddr(text); bad == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, mistake("--allow %q: write an address or a prefix such as 203.0.113.0/24", text)
		}
		allow = append(allow, p.Masked())
	}
	return allow, nil
}

// maxContacts bounds the memory of a ranking: some 3 GiB.
const maxContacts = 1 << 23

// read sums up what the files tell. A file that cannot be read to its end is an
// error; the connections that were read of it count.
func (f *rankFlags) read(cmd *cobra.Command, table *deviceTable) (list []tocsin.Contact, read int, unread []error) {
	book := contact.NewBook(contact.Limits{Contacts: maxContacts})
	bar := newProgress(cmd.ErrOrStderr(), f.flows)
	var notes []string
	strangers := 0
	for _, name := range f.flows {
		s, err := f.readFile(cmd, name, bar, func(c contact.Flow) error {
			device, ok := table.byAddress[c.From]
			switch {
			case !ok:
				strangers++
			case contact.Public(c.To.Addr()): // what is inside of a network is no controller of many
				book.Add(device, c)
			}
			return nil
		})
		read += s.Flows
		if err != nil {
			unread = append(unread, err)
		}
		if s.Bad > 0 {
			notes = append(notes, fmt.Sprintf("%s: %d of %s passed over; the first: %v", name, s.Bad, count(s.Lines, "line"), s.FirstBad))
		}
	}
	bar.Finish()
	if read > 0 && strangers == read {
		notes = append(notes, "none of the connections was opened by an address of the table: write each device's address as the flows show it")
	}
	if left := book.Left(); left.Flows > 0 {
		notes = append(notes, fmt.Sprintf("%d connections left out: a device counts for %d destinations an hour", left.Flows, contact.DefaultLimits().Destinations))
	}
	for _, n := range notes {
		fmt.Fprintln(cmd.ErrOrStderr(), n)
	}
	return book.TakeAll(), read, unread
}

func (f *rankFlags) readFile(cmd *cobra.Command, name string, bar *progress, each func(contact.Flow) error) (zeek.Stats, error) {
	r, err := openTrace(name, cmd.InOrStdin())
	if err != nil {
		return zeek.Stats{}, err
	}
	defer r.Close()
	s, err := zeek.Read(io.TeeReader(r, barWriter{bar}), each)
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// shown is how many candidates a person is shown unless he asks for all.
const shown = 20

func showRanking(w io.Writer, r controller.Ranking, all bool) error {
	if len(r.Candidates) == 0 {
		return nil
	}
	fmt.Fprintf(w, "%s among %s of %s, %d of them compromised; seed %d, %d rounds\n\n", count(len(r.Candidates), "candidate"),
		count(r.Observed, "external destination"), count(r.Devices, "device"), r.Labelled, r.Seed, r.Rounds)
	list := r.Candidates
	if !all {
		list = list[:min(shown, len(list))]
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "RANK\tADDRESS\tCLASS\tSCORE\tQ\tCOMPROMISED\tOTHERS\tBEFORE\tREGULAR\tRARITY\tPROPOSE")
	for i, c := range list {
		propose := "no"
		if c.MayPropose {
			propose = "yes"
		}
		fmt.Fprintf(tab, "%d\t%v\t%v\t%.3f\t%.2g\t%d of %d\t%d\t%d of %d\t%.2f\t%.2f\t%s\n", i+1, netip.AddrPortFrom(c.Address, c.Port), c.Class,
			c.Score, c.Q, c.Labelled, r.Labelled, c.Devices-c.Labelled, c.Before, c.LabelledTimed, c.Regularity, c.Rarity, propose)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if more := len(r.Candidates) - len(list); more > 0 {
		fmt.Fprintf(w, "\n%d more: --all shows them.\n", more)
	}
	_, err := fmt.Fprint(w, "\nThe order says where to look first, not who is guilty; docs/controllers.md says how to read it.\n")
	return err
}

// sentence makes a reason one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return string(text[0]-'a'+'A') + text[1:] + "."
}
