package footprints

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
)

// A place is where an intruder leaves something behind.
type place struct {
	folder string
	names  []string // nil is every name
	fact   tocsin.Fact
	deep   bool   // the folders in it, too
	where  string // only on devices that have this file; "" is any
}

// qnap is a file that QTS and QuTS hero have.
const qnap = "etc/config/uLinux.conf"

var places = []place{
	{folder: "etc", names: []string{"crontab", "anacrontab", "rc.local", "ld.so.preload"}, fact: tocsin.AutorunAdded},
	{folder: "etc/cron.d", fact: tocsin.AutorunAdded},
	{folder: "etc/cron.hourly", fact: tocsin.AutorunAdded},
	{folder: "etc/cron.daily", fact: tocsin.AutorunAdded},
	{folder: "etc/cron.weekly", fact: tocsin.AutorunAdded},
	{folder: "etc/cron.monthly", fact: tocsin.AutorunAdded},
	{folder: "var/spool/cron", fact: tocsin.AutorunAdded},
	{folder: "var/spool/cron/crontabs", fact: tocsin.AutorunAdded},
	{folder: "etc/systemd/system", fact: tocsin.AutorunAdded, deep: true},
	{folder: "etc/init.d", fact: tocsin.AutorunAdded},
	{folder: "etc/rc.d", names: []string{"rc.local"}, fact: tocsin.AutorunAdded},
	{folder: "usr/local/etc/rc.d", fact: tocsin.AutorunAdded}, // DSM
	{folder: "etc/config", names: []string{"crontab", "autorun.sh"}, fact: tocsin.AutorunAdded, where: qnap},
	{folder: "tmp/config", names: []string{"autorun.sh"}, fact: tocsin.AutorunAdded, where: qnap}, // flash, while it is mounted
	{folder: "tmp/nasconfig_tmp", names: []string{"autorun.sh"}, fact: tocsin.AutorunAdded, where: qnap},
	{folder: "etc", names: []string{"sudoers"}, fact: tocsin.AccountAdded},
	{folder: "etc/sudoers.d", fact: tocsin.AccountAdded},
	{folder: "etc/config/ssh", names: []string{"authorized_keys"}, fact: tocsin.KeysChanged, where: qnap},
	{folder: "etc/ssh", names: []string{"authorized_keys"}, fact: tocsin.KeysChanged},
	{folder: "etc/ssh/authorized_keys", fact: tocsin.KeysChanged},
	{folder: "etc/ssh/authorized_keys.d", fact: tocsin.KeysChanged},
	{folder: "etc/dropbear", names: []string{"authorized_keys"}, fact: tocsin.KeysChanged},
}

// keyFiles are what sshd and dropbear read in an account's .ssh.
var keyFiles = []string{"authorized_keys", "authorized_keys2"}

// A spot is one folder to look at.
type spot struct {
	folder string
	names  []string // nil is every name
	fact   tocsin.Fact
}

// expand returns the spots there are now: those of the places, and the keys of
// root and of every account that may log in.
func (w *Watch) expand() []spot {
	// Accounts are compared as a whole: the folder is watched for these names.
	spots := []spot{{folder: w.path("etc"), names: []string{"passwd", "group"}}}
	for _, p := range places {
		if p.where != "" {
			if _, err := os.Lstat(w.path(p.where)); err != nil {
				continue
			}
		}
		s := spot{w.path(p.folder), p.names, p.fact}
		spots = append(spots, s)
		if p.deep {
			names, err := w.names(s.folder)
			if err != nil {
				continue // told where it is looked at
			}
			for _, name := range names {
				below := filepath.Join(s.folder, name)
				if info, err := os.Lstat(below); err == nil && info.IsDir() {
					spots = append(spots, spot{below, nil, p.fact})
				}
			}
		}
	}
	homes := []string{"/root"}
	for _, a := range w.accounts() {
		if a.Login && filepath.IsAbs(a.home) {
			homes = append(homes, filepath.Clean(a.home))
		}
	}
	slices.Sort(homes)
	homes = slices.Compact(homes)
	if len(homes) > maxHomes {
		w.noSee(w.path("etc/passwd"), "too many accounts may log in: the keys of some are not watched")
		homes = homes[:maxHomes]
	}
	for _, home := range homes {
		spots = append(spots, spot{w.path(filepath.Join(home, ".ssh")), keyFiles, tocsin.KeysChanged})
	}
	return spots
}

// names returns what is in a folder, sorted, at most maxNames.
func (w *Watch) names(folder string) ([]string, error) {
	d, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(maxNames + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	if len(names) > maxNames {
		w.noSee(folder, "too many files: some are not looked at")
		names = names[:maxNames]
	}
	return names, nil
}

// files returns the paths that s is about, and whether that could be told.
func (w *Watch) files(s spot) ([]string, bool) {
	names := s.names
	if names == nil {
		var err error
		names, err = w.names(s.folder)
		if err != nil && !missing(err) {
			w.noSee(s.folder, reason(err))
			return nil, false
		}
	}
	paths := make([]string, 0, len(names))
	for _, name := range names {
		paths = append(paths, filepath.Join(s.folder, name))
	}
	return paths, true
}

// under returns the remembered files that s is about.
func (s spot) under(files map[string]file) (paths []string) {
	for path := range files {
		dir, name := filepath.Split(path)
		if strings.TrimSuffix(dir, "/") == s.folder && (s.names == nil || slices.Contains(s.names, name)) {
			paths = append(paths, path)
		}
	}
	return paths
}

// missing reports whether an error says that nothing is there.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// reason is an error in a few words, without the path.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return "no permission: give the guard CAP_DAC_READ_SEARCH"
	}
	return err.Error()
}
