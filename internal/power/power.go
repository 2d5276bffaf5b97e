// Package power gives up what a guard does not need: a process that root started
// becomes an ordinary user that may change the firewall and read logs, and
// nothing else. It never gains anything.
package power

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Capability is one of capabilities(7).
type Capability uint

// What a guard needs, and what only some back ends need.
const (
	NetAdmin      Capability = unix.CAP_NET_ADMIN       // change the firewall
	DACReadSearch Capability = unix.CAP_DAC_READ_SEARCH // read every log
	NetRaw        Capability = unix.CAP_NET_RAW         // what the legacy iptables programs need besides
)

// String returns the name that setcap and systemd use.
func (c Capability) String() string {
	switch c {
	case NetAdmin:
		return "CAP_NET_ADMIN"
	case DACReadSearch:
		return "CAP_DAC_READ_SEARCH"
	case NetRaw:
		return "CAP_NET_RAW"
	}
	return "capability " + strconv.FormatUint(uint64(c), 10)
}

// Held returns which of caps this process has, and how many others besides.
func Held(caps ...Capability) (held []Capability, others int, err error) {
	mask, err := effective()
	if err != nil {
		return nil, 0, err
	}
	for _, c := range caps {
		if mask&(1<<c) != 0 {
			held = append(held, c)
			mask &^= 1 << c
		}
	}
	for ; mask != 0; mask &= mask - 1 {
		others++
	}
	return held, others, nil
}

func effective() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, fmt.Errorf("capabilities: %w", err)
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32, nil
}

// Drop makes this process, which root started, run as the user and keep only
// caps, also for the programs it starts; the folders become the user's. An empty
// name stays root without other powers. It must be called before goroutines
// depend on who they are; on error the process should end.
func Drop(name string, caps []Capability, folders ...string) error {
	var id *user.User
	if name != "" {
		var err error
		if id, err = user.Lookup(name); err != nil {
			return fmt.Errorf("run as %s: %w: make it with useradd --system %s, or name another user", name, err, name)
		}
	}
	if id != nil {
		if err := become(id, folders); err != nil {
			return fmt.Errorf("run as %s: %w", name, err)
		}
	}
	return keep(caps)
}

func become(id *user.User, folders []string) error {
	uid, err := strconv.Atoi(id.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(id.Gid)
	if err != nil {
		return err
	}
	for _, dir := range folders {
		if err := give(dir, uid, gid); err != nil {
			return err
		}
	}
	if err := all(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1); err != nil {
		return err
	}
	return errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid), syscall.Setuid(uid))
}

// give makes a folder and what lies in it the user's: the state of a guard that
// ran as root before. Of the files, only those that a guard could have written:
// for nobody else's eyes, and without a second name somewhere else.
func give(dir string, uid, gid int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if shared, err := isShared(dir); err != nil {
		return err
	} else if shared {
		return fmt.Errorf("%s belongs to the system: name a folder in it that is the guard's alone, such as %s", dir, filepath.Join(dir, "tocsin"))
	}
	if err := os.Lchown(dir, uid, gid); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && info.Mode().IsRegular() && info.Mode().Perm()&0o077 == 0 && st.Nlink == 1 {
			if err := os.Lchown(dir+"/"+f.Name(), uid, gid); err != nil {
				return err
			}
		}
	}
	return nil
}

// isShared reports whether dir is one of the folders at the top, or just below
// /var, /usr and /dev, that many programs share.
func isShared(dir string) (bool, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return false, err
	}
	up := filepath.Dir(dir)
	return slices.Contains([]string{"/", "/var", "/usr", "/dev"}, up), nil
}

// keep reduces every thread to caps: effective, permitted, inheritable and, so
// that iptables has them when it is run, ambient.
func keep(caps []Capability) error {
	var mask uint64
	for _, c := range caps {
		mask |= 1 << c
	}
	have, err := permitted()
	if err != nil {
		return err
	}
	mask &= have
	half := [2]uint32{uint32(mask), uint32(mask >> 32)}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i, m := range half {
		data[i] = unix.CapUserData{Effective: m, Permitted: m, Inheritable: m}
	}
	if err := all(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data[0]))); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	for _, c := range caps {
		if mask&(1<<c) == 0 {
			continue
		}
		// A kernel before 4.3 has no ambient set: then only a root's programs inherit.
		if err := all(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c)); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("pass %v on: %w", c, err)
		}
	}
	return nil
}

func permitted() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, fmt.Errorf("capabilities: %w", err)
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
}

// all makes a system call on every thread: capabilities belong to threads.
func all(trap uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.AllThreadsSyscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno == syscall.ENOTSUP {
		return fmt.Errorf("this program was built with cgo and cannot change its threads: build it with CGO_ENABLED=0 (make build does)")
	}
	if errno != 0 {
		return errno
	}
	return nil
}
