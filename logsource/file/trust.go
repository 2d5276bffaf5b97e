package file

import (
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// distrust says why the file at path, opened as fd, may hold lines of others
// than its daemon; "" means that it cannot. Access control lists count too:
// what they grant shows in the group bits.
func distrust(path string, fd int, owners []uint32) string {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Sprintf("its owner cannot be read: %v", err)
	}
	if why := writers(&st, owners); why != "" {
		return "the file " + why
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err.Error()
	}
	for _, folder := range []string{filepath.Dir(path), filepath.Dir(real)} {
		if err := unix.Stat(folder, &st); err != nil {
			return fmt.Sprintf("%s: %v", folder, err)
		}
		if why := writers(&st, owners); why != "" {
			return "the folder " + folder + " " + why
		}
	}
	return ""
}

// writers says who else may write, "" if nobody.
func writers(st *unix.Stat_t, owners []uint32) string {
	switch {
	case st.Uid != 0 && !slices.Contains(owners, st.Uid):
		return fmt.Sprintf("belongs to user %d", st.Uid)
	case st.Mode&0o002 != 0:
		return "can be written by everybody"
	case st.Mode&0o020 != 0:
		return fmt.Sprintf("can be written by group %d", st.Gid)
	}
	return ""
}
