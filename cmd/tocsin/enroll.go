package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/uplink"
)

// enrollFlags are those of tocsin enroll.
type enrollFlags struct {
	config string
	state  string
	name   string
	json   bool
}

func enrollCommand() *cobra.Command {
	var f enrollFlags
	cmd := &cobra.Command{
		Use:   "enroll TOKEN",
		Short: "Let this device join a hub, with a token made there",
		Long: "Enroll redeems a token of tocsin devices add: the device makes its keys, proves the hub by what the\n" +
			"token says of it, and keeps its certificate in the guard's state folder. - reads the token from\n" +
			"standard input, where nobody else of this machine sees it.",
		Example: "  tocsin enroll tocsin1.AbC...\n  tocsin enroll - < token",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.config, "config", "", "the guard's configuration file (default "+defaultConfig+", if it exists)")
	cmd.Flags().StringVar(&f.state, "state", "", "the guard's state folder (default as configured)")
	cmd.Flags().StringVar(&f.name, "name", "", "what people call this device (default the host name)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// uplinkFolder is where an enrolment lies in the guard's state folder.
func uplinkFolder(state string) string { return filepath.Join(state, "hub") }

func (f *enrollFlags) run(cmd *cobra.Command, token string) error {
	if token == "-" {
		b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 2*keys.MaxToken))
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		token = string(b)
	}
	if _, err := keys.ParseToken(token); err != nil {
		return usageError{err}
	}
	state, guardUser, err := f.where()
	if err != nil {
		return err
	}
	if f.name == "" {
		if f.name, err = os.Hostname(); err != nil {
			return fmt.Errorf("name of this device: %w: say --name", err)
		}
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fmt.Errorf("the guard's state folder: %w: run as root, or name another with --state", err)
	}
	model, firmware := machine(os.DirFS("/"))
	id, owner, err := uplink.Enrol(cmd.Context(), uplinkFolder(state), token,
		uplink.About{Name: f.name, Model: model, Firmware: firmware, Version: buildVersion()})
	if given := giveTo(guardUser, state); err == nil {
		err = given
	}
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if f.json {
		return json.NewEncoder(w).Encode(map[string]any{"device": id, "owner": owner, "folder": uplinkFolder(state)})
	}
	_, err = fmt.Fprintf(w, "This device belongs to %s now, and is called %s at the hub.\n"+
		"Restart the guard, and it connects: systemctl restart tocsin-guard\n", owner, id)
	return err
}

// where returns the guard's state folder, and as whom the guard runs.
func (f *enrollFlags) where() (state, guardUser string, err error) {
	path := f.config
	if path == "" {
		path = defaultConfig
	}
	b, err := readFile(path, 1<<20)
	if errors.Is(err, fs.ErrNotExist) && f.config == "" {
		b, err = nil, nil
	}
	if err != nil {
		return "", "", fmt.Errorf("configuration: %w", err)
	}
	cfg, err := config.Parse(b)
	if err != nil {
		return "", "", fmt.Errorf("%s:\n%w", path, err)
	}
	if f.state != "" {
		cfg.State = f.state
	}
	return cfg.State, cfg.User, nil
}

// giveTo makes the enrolment the guard's, if root made it: the user's of that
// name, else that of a guard's usual user, else whose the folder is.
func giveTo(name, state string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := ownerOf(state)
	if err != nil {
		return err
	}
	if name == "" {
		name = ownUser
	}
	if u, err := user.Lookup(name); err == nil && uid == 0 {
		id, e1 := strconv.Atoi(u.Uid)
		group, e2 := strconv.Atoi(u.Gid)
		if err := errors.Join(e1, e2); err != nil {
			return err
		}
		uid, gid = id, group
	}
	return chownAll(uplinkFolder(state), uid, gid)
}

// ownerOf returns whom a file belongs to.
func ownerOf(path string) (uid, gid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("%s: whom it belongs to is not told", path)
	}
	return int(st.Uid), int(st.Gid), nil
}

// chownAll gives a folder and what is in it to a user. It follows no link out of
// the folder: its owner may have put one there.
func chownAll(folder string, uid, gid int) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !info.IsDir() && (!info.Mode().IsRegular() || !ok || st.Nlink != 1) {
			return nil
		}
		return root.Lchown(path, uid, gid)
	})
}

// machine tells which device this is and what runs on it, as far as files tell
// that the makers of such devices put there: for people who look at many.
func machine(root fs.FS) (model, firmware string) {
	qnap := settings(root, "etc/config/uLinux.conf")
	if len(qnap) == 0 {
		qnap = settings(root, "etc/default_config/uLinux.conf")
	}
	dsm, dsmModel := settings(root, "etc.defaults/VERSION"), settings(root, "etc.defaults/synoinfo.conf")
	switch {
	case qnap["Version"] != "":
		return cmp.Or(qnap["Model"], board(root)), join("QTS", qnap["Version"], qnap["Build Number"])
	case dsm["productversion"] != "":
		return cmp.Or(dsmModel["upnpmodelname"], board(root)), join("DSM", dsm["productversion"], dsm["buildnumber"])
	}
	system := settings(root, "etc/os-release")
	return board(root), cmp.Or(system["PRETTY_NAME"], system["NAME"])
}

// board names the hardware.
func board(root fs.FS) string {
	const dmi = "sys/class/dmi/id/"
	return cmp.Or(join(firstLine(root, dmi+"sys_vendor"), firstLine(root, dmi+"product_name")),
		firstLine(root, "sys/firmware/devicetree/base/model"), firstLine(root, "proc/device-tree/model"))
}

const (
	maxAbout = 100 // bytes of a model or firmware
	maxFact  = 64 << 10
)

// settings reads the first value of each KEY=VALUE of a file; without it there
// are none.
func settings(root fs.FS, name string) map[string]string {
	found := map[string]string{}
	f, err := root.Open(name)
	if err != nil {
		return found
	}
	defer f.Close()
	s := bufio.NewScanner(io.LimitReader(f, maxFact))
	for s.Scan() {
		k, v, ok := strings.Cut(s.Text(), "=")
		if k = strings.TrimSpace(k); ok && found[k] == "" {
			found[k] = about(strings.Trim(strings.TrimSpace(v), `"'`))
		}
	}
	return found
}

// firstLine returns the first line of a file, or "".
func firstLine(root fs.FS, name string) string {
	f, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAbout))
	if err != nil {
		return ""
	}
	b, _, _ = bytes.Cut(b, []byte("\n"))
	return about(string(b))
}

// about cuts a text to what a hub takes as a label.
func about(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > maxAbout {
		r := []rune(s)
		s = string(r[:len(r)-1])
	}
	return strings.TrimSpace(s)
}

func join(words ...string) string {
	return about(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
}
