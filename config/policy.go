package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A PolicySetting is one of the hub's settings that decide who is blocked. They can be
// changed while the hub runs.
type PolicySetting struct {
	Key   string // such as "policy.day_failures"
	Doc   string
	Kind  string // count, duration, prefixes
	Value string // as people write it; prefixes are separated by commas
}

const policyTable = "policy."

// PolicySettings returns the settings of c, in the order of the sample file.
func (c Hub) PolicySettings() (list []PolicySetting) {
	for _, s := range hubSettings {
		if !strings.HasPrefix(s.key, policyTable) {
			continue
		}
		one := PolicySetting{Key: s.key, Doc: s.doc}
		switch v := s.at(&c).(type) {
		case *int:
			one.Kind, one.Value = "count", literal(v)
		case *time.Duration:
			one.Kind, one.Value = "duration", strings.Trim(literal(v), `"`)
		case *[]netip.Prefix:
			words := make([]string, len(*v))
			for i, p := range *v {
				words[i] = p.String()
			}
			one.Kind, one.Value = "prefixes", strings.Join(words, ", ")
		}
		list = append(list, one)
	}
	return list
}

// WithPolicy returns c with other values of policy settings, read as those of its file
// are. Its error is of type [Mistakes].
func (c Hub) WithPolicy(values map[string]string) (Hub, error) {
	kinds := map[string]string{}
	for _, s := range c.PolicySettings() {
		kinds[s.Key] = s.Kind
	}
	var b strings.Builder
	b.WriteString("[policy]\n")
	for _, key := range slices.Sorted(maps.Keys(values)) {
		name, ok := strings.CutPrefix(key, policyTable)
		if !ok || kinds[key] == "" {
			return c, Mistakes{{0, fmt.Sprintf("%q is no setting of the policy", key)}}
		}
		fmt.Fprintf(&b, "%s = %s\n", name, asTOML(kinds[key], strings.TrimSpace(values[key])))
	}
	changed := c
	changed.Incident.Recipients = slices.Clone(c.Incident.Recipients)
	if err := hubFile.parse([]byte(b.String()), &changed); err != nil {
		return c, err
	}
	return changed, nil
}

// asTOML writes a value as a file holds it. What is none is written so that the parser
// says what it should be.
func asTOML(kind, value string) string {
	switch kind {
	case "count":
		if value != "" && strings.Trim(value, "0123456789") == "" && len(value) < 18 && (len(value) == 1 || value[0] != '0') {
			return value
		}
	case "prefixes":
		words := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\r\n;", r) })
		for i, w := range words {
			words[i] = quoted(w)
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return quoted(value)
}

// quoted writes a string as TOML and JSON do alike.
func quoted(s string) string {
	b, _ := json.Marshal(strings.ReplaceAll(s, "\u007f", "?")) // a string always encodes
	return string(b)
}
