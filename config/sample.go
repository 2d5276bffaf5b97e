package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Sample returns a file that sets every key of the guard to its default, each
// with a word on what it is: commented out, so that it changes nothing.
func Sample() string {
	c := Default()
	return guardFile.sample("# Configuration of tocsin guard. Every key is optional; what is commented out\n"+
		"# shows the default. Check changes with: tocsin guard --check\n", &c) + `
# A log file to read besides the journal and the well-known files. With service,
# the file is taken for one that only this service writes, and the well-known
# files of that service are left alone.
# [[log]]
# path = "/srv/nextcloud/data/nextcloud.log"
# service = "nextcloud"
`
}

// sample writes every key with the value that c holds.
func (s *schema[C]) sample(head string, c *C) string {
	var b strings.Builder
	b.WriteString(head)
	table := ""
	for _, one := range s.settings {
		t, key, _ := strings.Cut(one.key, ".")
		if t != table {
			table = t
			fmt.Fprintf(&b, "\n[%s]\n", t)
		}
		if one.doc != "" {
			fmt.Fprintf(&b, "# %s\n", one.doc)
		}
		fmt.Fprintf(&b, "# %s = %s\n", key, literal(one.at(c)))
	}
	return b.String()
}

// literal writes a value as TOML.
func literal(v any) string {
	switch v := v.(type) {
	case *string:
		return fmt.Sprintf("%q", *v)
	case *time.Duration:
		const day = 24 * time.Hour
		if *v > day && *v%day == 0 {
			return fmt.Sprintf("%q", fmt.Sprint(int64(*v/day), "d"))
		}
		s := v.String() // 10m0s, 24h0m0s
		s = strings.TrimSuffix(s, "0s")
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return fmt.Sprintf("%q", s)
	case *[]string:
		words := make([]string, len(*v))
		for i, w := range *v {
			words[i] = fmt.Sprintf("%q", w)
		}
		return "[" + strings.Join(words, ", ") + "]"
	case *[]netip.Prefix:
		words := make([]string, len(*v))
		for i, w := range *v {
			words[i] = fmt.Sprintf("%q", w)
		}
		return "[" + strings.Join(words, ", ") + "]"
	case *[]uint16:
		return strings.ReplaceAll(fmt.Sprint(*v), " ", ", ")
	case *bool:
		return fmt.Sprint(*v)
	case *int:
		return fmt.Sprint(*v)
	}
	return ""
}
