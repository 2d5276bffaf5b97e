package play

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Marks in the folder that is played into.
const (
	markPrepared = ".prepared"
	markPlayed   = ".played"
)

// A folder is where an incident is played. Nothing outside of it is reached,
// whatever names an incident has.
type folder struct {
	root     *os.Root
	prepared bool
}

func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{root: root}
	list, err := os.ReadDir(dir)
	if err == nil && len(list) > 0 {
		if _, err = root.Lstat(markPrepared); err == nil {
			f.prepared = true
		} else {
			err = fmt.Errorf("%s holds something already: name an empty folder, or one made with --prepare", dir)
		}
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return f, nil
}

func (f *folder) close() { f.root.Close() }

// begin notes that what is prepared is played from now on: never twice.
func (f *folder) begin() error { return f.root.Rename(markPrepared, markPlayed) }

// append adds whole lines to a file, by one write.
func (f *folder) append(name string, lines []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(lines)
	return errors.Join(err, file.Close())
}

// rotate puts a log aside, as its device does.
func (f *folder) rotate(name string) error {
	err := f.root.Rename(name, name+".1")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was in it
	}
	return err
}

// prepare makes the folders of all devices, what they look like before anything
// happens, and their logs of before the start.
func (p *player) prepare() error {
	for i := range p.devices {
		if err := p.folder.device(p.devices[i].Device, p.start); err != nil {
			return err
		}
	}
	if err := p.setUp(); err != nil {
		return err
	}
	for i := range p.logs {
		l := &p.logs[i]
		if len(l.packed) > 0 {
			if err := p.folder.pack(l.name+".2.gz", p.old(l.packed)); err != nil {
				return err
			}
		}
		if len(l.history) > 0 {
			if err := p.folder.append(l.name, p.old(l.history)); err != nil {
				return err
			}
		}
	}
	return p.folder.append(markPrepared, nil)
}

// old moves the times of lines from before the start.
func (p *player) old(lines []byte) (out []byte) {
	for line := range bytes.Lines(lines) {
		out = p.restamped(out, line)
		p.sum.Lines++
	}
	return out
}

func (f *folder) pack(name string, lines []byte) error {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(lines)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return f.append(name, b.Bytes())
}

// passwd is who has an account on a device before anything happens.
const passwd = "root:x:0:0:root:/root:/bin/sh\n" +
	"admin:x:1000:100:admin:/home/admin:/bin/sh\n" +
	"replica:x:1001:100:replica:/home/replica:/bin/sh\n"

// systemLog is a log of a device that tells of no log-ins, with a line for each
// hour.
const (
	systemLog   = "var/log/messages"
	systemLines = 24
)

// parts are folders of a device's own files.
var parts = []string{"etc/cron.d", "root/.ssh", "home/replica/.ssh", "var/log"}

// device makes the folder of a device, which looks as if it had been there for
// long.
func (f *folder) device(d tocsin.DeviceID, now time.Time) error {
	root := string(d) + "/root/"
	for _, part := range parts {
		if err := f.root.MkdirAll(root+part, 0o755); err != nil {
			return err
		}
	}
	if err := f.append(root+"etc/passwd", []byte(passwd)); err != nil {
		return err
	}
	var lines []byte
	for h := systemLines; h > 0; h-- {
		at := now.Add(-time.Duration(h) * time.Hour).UTC()
		lines = fmt.Appendf(lines, "%s %s kernel: [played] nothing to tell\n", at.Format(time.RFC3339), d)
	}
	if err := f.append(root+systemLog, lines); err != nil {
		return err
	}
	long := now.AddDate(-1, 0, 0)
	return f.root.Chtimes(root+"etc/passwd", long, long)
}

// change does to a device's files what the incident has happen to it. Nothing of
// it is ever run. Where lines of a log are missing, a log is cut.
func (f *folder) change(e event) error {
	root := string(e.Device) + "/root/"
	if e.Fact == tocsin.LogGap.String() {
		return f.cut(root + systemLog)
	}
	name, line := e.Subject, ""
	switch e.Fact {
	case tocsin.KeysChanged.String():
		line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEX played\n"
	case tocsin.AutorunAdded.String():
		line = "*/5 * * * * root /bin/true\n"
	case tocsin.AccountAdded.String():
		name, line = "etc/passwd", fmt.Sprintf("%s:x:1100:100::/home/%s:/bin/sh\n", e.Subject, e.Subject)
	default:
		return fmt.Errorf("%s: nobody knows how to play %q", e.Device, e.Fact)
	}
	name = root + path.Join(".", path.Clean("/"+name))
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return f.append(name, []byte(line))
}

// cut takes the newer half of a log away, in place.
func (f *folder) cut(name string) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		err = file.Truncate(info.Size() / 2)
	}
	return errors.Join(err, file.Close())
}
