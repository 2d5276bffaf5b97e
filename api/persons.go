package api

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

const (
	maxTerm   = 366 * 24 * time.Hour // of an order or a token
	maxLabels = 64
	maxCursor = 512
)

// limit and cursor read which page is wanted.
func (c *call) limit() (int, error) {
	text := c.r.FormValue("limit")
	if text == "" {
		return DefaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > MaxPage {
		return 0, badRequest("limit: want 1 to %d", MaxPage)
	}
	return n, nil
}

// cursor returns where the page begins; "" is at the start.
func (c *call) cursor() (string, error) {
	text := c.r.FormValue("cursor")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxCursor {
		return "", badRequest("cursor: want the next of the page before, as it was")
	}
	return string(b), nil
}

// toCursor makes a cursor, so that nobody builds upon what is in it.
func toCursor(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

func (c *call) page() (limit int, cursor string, err error) {
	if limit, err = c.limit(); err != nil {
		return 0, "", err
	}
	cursor, err = c.cursor()
	return limit, cursor, err
}

func (c *call) owner() (tocsin.OwnerID, error) {
	o := c.r.FormValue("owner")
	if !word(o, maxText) {
		return "", badRequest("owner: want at most %d printable bytes", maxText)
	}
	return tocsin.OwnerID(o), nil
}

// term checks a time to live in seconds.
func term(seconds int) error {
	if seconds < 0 || time.Duration(seconds) > maxTerm/time.Second {
		return badRequest("for_seconds: want 0 to %d", maxTerm/time.Second)
	}
	return nil
}

func (a *API) devices(c *call) (any, error) {
	limit, after, err := c.page()
	if err != nil {
		return nil, err
	}
	owner, err := c.owner()
	if err != nil {
		return nil, err
	}
	list, err := a.Registry.Devices(c.r.Context(), owner, tocsin.DeviceID(after), limit)
	p := DevicePage{Devices: append([]Device{}, list...)}
	if len(list) >= limit {
		p.Next = toCursor(string(list[len(list)-1].ID))
	}
	return result(p, err)
}

func (c *call) deviceID() tocsin.DeviceID { return tocsin.DeviceID(c.r.PathValue("id")) }

func (a *API) device(c *call) (any, error) {
	return result(a.Registry.Device(c.r.Context(), c.deviceID()))
}

func (a *API) changeDevice(c *call) (any, error) {
	var change DeviceChange
	if err := fromPerson(c.w, c.r, &change); err != nil {
		return nil, err
	}
	c.did = "change device " + cut(string(c.deviceID())) + change.words()
	if change.Name != nil || change.Groups != nil {
		if err := c.needs(admin); err != nil {
			return nil, err
		}
	}
	if err := change.check(); err != nil {
		return nil, err
	}
	return result(a.Registry.Change(c.r.Context(), c.deviceID(), change, c.by))
}

// words say what is changed.
func (d DeviceChange) words() (text string) {
	if d.Name != nil {
		text += ", name " + cut(*d.Name)
	}
	if d.Groups != nil {
		text += ", groups " + cut(strings.Join(*d.Groups, " "))
	}
	if d.Labels != nil {
		text += ", labels"
	}
	if d.Suspect != nil {
		text += map[bool]string{true: ", suspect", false: ", not suspect"}[*d.Suspect]
	}
	return text
}

func (d DeviceChange) check() error {
	if d.Name == nil && d.Groups == nil && d.Labels == nil && d.Suspect == nil {
		return badRequest("nothing to change: want name, groups, labels or suspect")
	}
	if d.Name != nil && !word(*d.Name, maxText) {
		return badRequest("name: want at most %d printable bytes", maxText)
	}
	if d.Groups != nil {
		if err := checkGroups(*d.Groups); err != nil {
			return err
		}
	}
	if d.Labels == nil {
		return nil
	}
	if len(*d.Labels) > maxLabels {
		return badRequest("labels: want at most %d", maxLabels)
	}
	for k, v := range *d.Labels {
		if k == "" || !word(k, maxText) || !word(v, maxText) {
			return badRequest("labels: want names and values of at most %d printable bytes", maxText)
		}
	}
	return nil
}

func checkGroups(groups []string) error {
	if len(groups) > maxLabels {
		return badRequest("groups: want at most %d", maxLabels)
	}
	for _, g := range groups {
		if g == "" || !word(g, maxText) {
			return badRequest("groups: want names of at most %d printable bytes", maxText)
		}
	}
	return nil
}

func (a *API) revokeDevice(c *call) (any, error) {
	return result(a.Registry.Revoke(c.r.Context(), c.deviceID(), c.by))
}

func (a *API) newToken(c *call) (any, error) {
	var w TokenWish
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	c.did = "make an enrolment token for a device of " + cut(string(w.Owner))
	if w.Owner == "" || !word(string(w.Owner), maxText) {
		return nil, badRequest("owner: want a name of at most %d printable bytes: whose device it will be", maxText)
	}
	if err := checkGroups(w.Groups); err != nil {
		return nil, err
	}
	if err := term(w.Seconds); err != nil {
		return nil, err
	}
	return result(a.Registry.NewToken(c.r.Context(), w, c.by))
}

func (a *API) explain(c *call) (any, error) {
	owner, err := c.owner()
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(c.r.FormValue("address"))
	if err != nil || address.Zone() != "" {
		return nil, badRequest("address: want one, such as 203.0.113.7")
	}
	e, err := a.Fleet.Explain(c.r.Context(), owner, address.Unmap())
	e.Rules, e.Lines = append([]Rule{}, e.Rules...), append([]string{}, e.Lines...)
	return result(e, err)
}

func (a *API) order(c *call) (any, error) {
	var o Order
	if err := fromPerson(c.w, c.r, &o); err != nil {
		return nil, err
	}
	c.did = o.words()
	if err := o.check(); err != nil {
		return nil, err
	}
	o.By = c.by
	return result(a.Fleet.Order(c.r.Context(), o))
}

// words say an order as people do.
func (o Order) words() string {
	text := string(o.Verb)
	if o.Verb == End {
		text = "end " + string(o.Of)
	}
	if o.Prefix.IsValid() { // a list has many
		text += " " + o.Prefix.String()
	}
	if o.Owner != "" {
		text += " at " + string(o.Owner)
	}
	if o.Seconds > 0 {
		text += " for " + shortly(time.Duration(o.Seconds)*time.Second)
	}
	if o.Emergency {
		text += " at once everywhere"
	}
	if o.Note != "" {
		text += ": " + o.Note
	}
	return text
}

// shortly writes a time without the parts that are nothing: 1h, 36h30m.
func shortly(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func (o Order) check() error {
	switch {
	case o.Verb != Block && o.Verb != Unblock && o.Verb != Allow && o.Verb != End:
		return badRequest("verb: want block, unblock, allow or end")
	case (o.Verb == End) != (o.Of == Block || o.Of == Allow) || o.Verb != End && o.Of != "":
		return badRequest("of: want block or allow with end, and nothing otherwise")
	case !o.Prefix.IsValid() || o.Prefix != o.Prefix.Masked() || o.Prefix.Addr().Is4In6():
		return badRequest("prefix: want a masked one, such as 203.0.113.0/24 or 203.0.113.7/32")
	case !word(string(o.Owner), maxText):
		return badRequest("owner: want at most %d printable bytes", maxText)
	case !word(o.Note, maxNote):
		return badRequest("note: want at most %d printable bytes", maxNote)
	case o.Emergency && o.Note == "":
		return badRequest("note: an emergency says why")
	}
	return term(o.Seconds)
}

func (a *API) accesses(c *call) (any, error) {
	stored, err := a.Accesses.Accesses(c.r.Context())
	list := make([]Access, 0, len(stored))
	for _, s := range stored {
		list = append(list, accessOf(s))
	}
	return result(list, err)
}

func accessOf(s store.Access) Access {
	return Access{Name: s.Name, Role: s.Role, Made: s.Made, Until: s.Until, Used: s.Used}
}

func (a *API) newAccess(c *call) (any, error) {
	var w AccessWish
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	c.did = fmt.Sprintf("make an API token for %s as %s", cut(w.Name), cut(string(w.Role)))
	if w.Name == "" || !word(w.Name, maxText) {
		return nil, badRequest("name: want at most %d printable bytes: who will use it", maxText)
	}
	if w.Role != store.Viewer && w.Role != store.Analyst && w.Role != store.Admin {
		return nil, badRequest("role: want viewer, analyst or admin")
	}
	if err := term(w.Seconds); err != nil {
		return nil, err
	}
	token := "tocsin_" + rand.Text() + rand.Text()
	s := store.Access{Hash: HashAccess(token), Name: w.Name, Role: w.Role, Made: c.at.UTC().Truncate(time.Second)}
	if w.Seconds > 0 {
		s.Until = s.Made.Add(time.Duration(w.Seconds) * time.Second)
	}
	err := a.Accesses.AddAccess(c.r.Context(), s)
	if errors.Is(err, store.ErrExists) {
		return nil, Refuse(http.StatusConflict, "there is an API token of that name: drop it first, or take another name")
	}
	return result(AccessMade{accessOf(s), token}, err)
}

func (a *API) dropAccess(c *call) (any, error) {
	name := c.r.PathValue("name")
	err := a.Accesses.DropAccess(c.r.Context(), name)
	if err == nil {
		a.holds.end(name)
	}
	return nil, err
}
