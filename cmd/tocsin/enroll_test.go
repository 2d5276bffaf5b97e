package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMachine(t *testing.T) {
	for _, tt := range []struct {
		name            string
		files           map[string]string
		model, firmware string
	}{
		{"nothing is told", nil, "", ""},
		{"a server", map[string]string{
			"etc/os-release":                 "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n",
			"sys/class/dmi/id/sys_vendor":    "Example Inc.\n",
			"sys/class/dmi/id/product_name":  "Rack  1000\n",
			"sys/class/dmi/id/product_other": "x",
		}, "Example Inc. Rack 1000", "Debian GNU/Linux 13 (trixie)"},
		{"a small board", map[string]string{
			"etc/os-release":                      "NAME=Alpine\n",
			"sys/firmware/devicetree/base/model":  "Raspberry Pi 4 Model B Rev 1.4\x00",
			"sys/class/dmi/id/there_is_no_vendor": "",
		}, "Raspberry Pi 4 Model B Rev 1.4", "Alpine"},
		{"QTS", map[string]string{
			"etc/config/uLinux.conf": "[System]\nModel = TS-453D\nVersion = 5.1.2\nBuild Number = 20230926\n[Misc]\nVersion = 9\n",
			"etc/os-release":         "NAME=other\n",
		}, "TS-453D", "QTS 5.1.2 20230926"},
		{"QTS with an internal model", map[string]string{
			"etc/default_config/uLinux.conf": "Version = 5.0.0\n",
			"sys/class/dmi/id/product_name":  "TS-X53",
		}, "TS-X53", "QTS 5.0.0"},
		{"DSM", map[string]string{
			"etc.defaults/VERSION":       "productversion=\"7.2.1\"\nbuildnumber=\"69057\"\n",
			"etc.defaults/synoinfo.conf": "upnpmodelname=\"DS920+\"\n",
		}, "DS920+", "DSM 7.2.1 69057"},
		{"hostile", map[string]string{
			"etc/os-release":                "PRETTY_NAME=\"" + strings.Repeat("ä\x1b[31m\xff", 1000) + "\"\n" + strings.Repeat("x", 1<<20),
			"sys/class/dmi/id/product_name": strings.Repeat("\x00\x7f", 100) + "y",
		}, "", strings.Repeat("ä[31m", 16) + "ä[3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if model, firmware := machine(root); model != tt.model || firmware != tt.firmware {
				t.Errorf("got %q, %q; want %q, %q", model, firmware, tt.model, tt.firmware)
			}
		})
	}
}

// TestTheEnrolmentBecomesTheGuards gives away what is in the folder, and nothing
// that a link in it leads to.
func TestTheEnrolmentBecomesTheGuards(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	outside := filepath.Join(t.TempDir(), "outside")
	folder := filepath.Join(t.TempDir(), "hub")
	inside := filepath.Join(folder, "spool", "file")
	hard := filepath.Join(folder, "hard")
	for _, err := range []error{
		os.MkdirAll(filepath.Dir(inside), 0o700), os.WriteFile(inside, nil, 0o600), os.WriteFile(outside, nil, 0o600),
		os.Symlink(outside, filepath.Join(folder, "link")), os.Link(outside, hard), chownAll(folder, 12345, 12346),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{folder: 12345, inside: 12345, outside: 0} {
		if uid, _, err := ownerOf(path); err != nil || uid != want {
			t.Errorf("%s belongs to %d, want %d (%v)", path, uid, want, err)
		}
	}
}
