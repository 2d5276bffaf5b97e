package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
)

// An item is one message, or one list of a folder as its messages leave it.
type item struct {
	path    string
	head    ruleset.Header // of the message, or of the last frame of the list
	checked bool           // the signature is by a key that is trusted
	err     error          // why it must not be believed
	list    *ruleset.List  // of a snapshot, or of a folder
	frame   *ruleset.Frame // with a good signature
}

// inspector reads messages and judges them at a time; without keys signatures
// are not checked.
type inspector struct {
	keys ruleset.Keys
	at   time.Time
}

func (in *inspector) read(name string) ([]item, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return in.folder(name)
	}
	i, _, err := in.message(name)
	return []item{i}, err
}

// message reads one file. Its error says that there is none, or no message in
// it; that it must not be believed is in the item.
func (in *inspector) message(name string) (item, ruleset.Sealed, error) {
	i := item{path: name}
	s, err := readFile(name, ruleset.MaxSnapshot)
	if err != nil {
		return i, nil, err
	}
	if i.head, err = ruleset.Peek(s); err != nil {
		return i, nil, fmt.Errorf("%s: %w", name, err)
	}
	if in.keys != nil {
		m, err := ruleset.Open(s, in.keys, in.at)
		if i.checked, i.err = err == nil, err; err != nil {
			return i, s, nil
		}
		if f, ok := m.(ruleset.Frame); ok {
			i.frame = &f
		}
	}
	if i.head.Kind == ruleset.Snapshot {
		i.list, i.err = ruleset.New(i.head.Position.Ref, 0).Follow(s)
	}
	return i, s, nil
}

// mostFrames bounds how many frames a folder may have after its snapshot.
const mostFrames = 100_000

// folder reads all lists below a folder.
func (in *inspector) folder(name string) (items []item, err error) {
	err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "head" {
			return err
		}
		found, err := in.exported(filepath.Dir(path))
		items = append(items, found...)
		return err
	})
	if err == nil && len(items) == 0 {
		err = fmt.Errorf("%s: there is no list in it: want a folder that a hub writes its lists to", name)
	}
	return items, err
}

// exported reads one list: its snapshot, the frames after it, and its heartbeat.
// Each frame has to follow from the one before.
func (in *inspector) exported(dir string) ([]item, error) {
	b, err := readFile(filepath.Join(dir, "head"), 4<<10)
	if err != nil {
		return nil, err
	}
	var head struct {
		Epoch, Serial, Snapshot uint64
		Beat                    bool
	}
	if err := json.Unmarshal(b, &head); err != nil || head.Serial < head.Snapshot || head.Serial-head.Snapshot > mostFrames {
		return nil, fmt.Errorf("%s: not the head of a list", filepath.Join(dir, "head"))
	}
	names := []string{"snapshot"}
	for n := head.Snapshot + 1; n <= head.Serial; n++ {
		names = append(names, filepath.Join(strconv.FormatUint(head.Epoch, 10), strconv.FormatUint(n, 10)+".frame"))
	}
	var items []item
	var list *ruleset.List
	for _, name := range names {
		i, s, err := in.message(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if list == nil {
			list = ruleset.New(i.head.Position.Ref, 0)
		}
		if i.err == nil {
			list, i.err = follow(list, s)
		}
		if i.list = nil; i.err != nil {
			return append(items, i), nil // what comes after cannot be judged
		}
		items = append(items, i)
	}
	last := &items[len(items)-1]
	last.list = list
	if p := list.Position(); p.Epoch != head.Epoch || p.Serial != head.Serial {
		last.err = fmt.Errorf("the head says %d:%d: frames are held back, or the folder is being written", head.Epoch, head.Serial)
	}
	if !head.Beat {
		return items, nil
	}
	beat, err := in.beat(filepath.Join(dir, "beat"), list)
	return append(items, beat), err
}

func follow(l *ruleset.List, s ruleset.Sealed) (*ruleset.List, error) {
	next, err := l.Follow(s)
	if err != nil {
		return l, err
	}
	return next, nil
}

// beat reads the heartbeat of a list, which has to be about the list as it is.
func (in *inspector) beat(name string, list *ruleset.List) (item, error) {
	i, s, err := in.message(name)
	if err != nil || i.err != nil {
		return i, err
	}
	if i.head.Kind != ruleset.Beat || i.head.Position != list.Position() {
		i.err = fmt.Errorf("a %v of %s, and the list is at %s", i.head.Kind, i.head.Position, list.Position())
		return i, nil
	}
	if !i.checked {
		return i, nil
	}
	m, err := ruleset.Open(s, in.keys, in.at)
	if h, ok := m.(ruleset.Heartbeat); err == nil && ok && h.Hash != list.Hash(h.Created) {
		i.err = errors.New("it is about another list")
	}
	return i, nil
}

// result says in words whether the item may be believed.
func (i item) result() string {
	switch {
	case i.err != nil:
		return "BAD: " + i.err.Error()
	case i.checked:
		return "good"
	}
	return "signature not checked"
}

// rules yields what of the item is known: of a list all, of a frame what it adds.
func (i item) rules() iter.Seq[tocsin.Rule] {
	switch {
	case i.list != nil:
		return i.list.Rules(i.head.Created)
	case i.frame != nil:
		return i.frame.Added()
	}
	return func(func(tocsin.Rule) bool) {}
}

func (i item) show(w io.Writer, rules bool) error {
	h := i.head
	fmt.Fprintf(w, "%s: a %s of %s\n", i.path, h.Kind, h.Position)
	fmt.Fprintf(w, "  created %s, expires %s, ring %d, allowlist %d\n", moment(h.Created), moment(h.Expires), h.Ring, h.Allow)
	fmt.Fprintf(w, "  key %s: %s\n", h.Key, i.result())
	if i.frame != nil {
		added, removed := i.frame.Len()
		fmt.Fprintf(w, "  the frame: %d added or renewed, %d removed\n", added, removed)
	} else if h.Kind == ruleset.Delta {
		fmt.Fprintln(w, "  what it changes is shown with --root")
	}
	if i.list != nil {
		blocks, passes := i.count()
		fmt.Fprintf(w, "  the list: %s, %s\n", count(blocks, "block"), count(passes, "pass"))
	}
	if !rules {
		return nil
	}
	for r := range i.rules() {
		if _, err := fmt.Fprintf(w, "  %-5s %-18s %s\n", r.Action, show(r.Prefix), until(r.Until)); err != nil {
			return err
		}
	}
	return nil
}

func (i item) count() (blocks, passes int) {
	for r := range i.rules() {
		if r.Action == tocsin.Block {
			blocks++
		} else {
			passes++
		}
	}
	return blocks, passes
}

// A toldItem is an item as JSON.
type toldItem struct {
	File    string     `json:"file"`
	Kind    string     `json:"kind"`
	List    string     `json:"list"`
	Epoch   uint64     `json:"epoch"`
	Serial  uint64     `json:"serial"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
	Ring    uint8      `json:"ring,omitempty"`
	Key     string     `json:"key"`
	Checked bool       `json:"signature_checked"`
	Error   string     `json:"error,omitempty"`
	Blocks  *int       `json:"blocks,omitempty"`
	Passes  *int       `json:"passes,omitempty"`
	Added   *int       `json:"added,omitempty"`
	Removed *int       `json:"removed,omitempty"`
	Rules   []toldRule `json:"rules,omitempty"`
}

type toldRule struct {
	Prefix netip.Prefix `json:"prefix"`
	Action string       `json:"action"`
	Until  time.Time    `json:"until"`
}

func (i item) told(rules bool) toldItem {
	h := i.head
	t := toldItem{
		File: i.path, Kind: h.Kind.String(), List: h.Position.Ref.String(), Epoch: h.Position.Epoch, Serial: h.Position.Serial,
		Created: h.Created, Expires: h.Expires, Ring: h.Ring, Key: h.Key.String(), Checked: i.checked,
	}
	if i.err != nil {
		t.Error = i.err.Error()
	}
	if i.list != nil {
		blocks, passes := i.count()
		t.Blocks, t.Passes = &blocks, &passes
	}
	if i.frame != nil {
		added, removed := i.frame.Len()
		t.Added, t.Removed = &added, &removed
	}
	for r := range i.rules() {
		if rules {
			t.Rules = append(t.Rules, toldRule{r.Prefix, r.Action.String(), r.Until})
		}
	}
	return t
}

// trustedKeys returns the signing keys that a file vouches for at a time: what a
// device keeps of its hub, or a TUF root with the rest of its repository beside.
func trustedKeys(name string, at time.Time) (ruleset.Keys, error) {
	b, err := readFile(name, 4<<20)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tocsin-trust-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var trust *keys.Trust
	var kind struct {
		Signed json.RawMessage `json:"signed"`
	}
	if json.Unmarshal(b, &kind) == nil && kind.Signed != nil {
		if trust, err = keys.Pin(dir, b); err != nil {
			return nil, err
		}
		err = trust.Update(func(file string) ([]byte, error) {
			return readFile(filepath.Join(filepath.Dir(name), file), keys.MaxFile)
		}, at)
	} else if err = os.WriteFile(filepath.Join(dir, "trust.json"), b, 0o600); err == nil {
		if trust, err = keys.OpenTrust(dir); err != nil {
			err = errors.New("neither trust.json of a device nor a TUF root")
		}
	}
	if err != nil {
		return nil, err
	}
	list := trust.Keys(at)
	if len(list) == 0 {
		return nil, errors.New(trust.Warning(at))
	}
	return list, nil
}
