package rdap

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// onlyParsed leaves out what Parse does not choose.
var onlyParsed = []cmp.Option{
	cmpopts.IgnoreFields(Contact{}, "Raw", "Digest", "Found", "Subject"), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		registry, about string
		want            Contact
	}{
		{"arin", "192.0.2.7", Contact{
			Mails:   []string{"abuse@hosting.example"},
			Network: netip.MustParsePrefix("192.0.2.0/24"), Name: "EXAMPLE-NET-1", Holder: "Example Hosting, LLC",
			Others:  []string{"technical: noc@hosting.example"},
			Remarks: []string{"Send times with their zone, one report for each address."},
		}},
		{"ripe", "198.51.100.99", Contact{
			Mails:   []string{"Abuse@provider.example", "security@provider.example"},
			Network: netip.MustParsePrefix("198.51.100.0/25"), Name: "EXAMPLE-EU", Holder: "EXAMPLE-MNT", Country: "NL",
			Others:  []string{"administrative: person@provider.example"},
			Forms:   []string{"https://abuse.provider.example/report"},
			Remarks: []string{"Reports by the form are handled first."},
			Notes: []string{
				`not a plain mail address, left out: "abuse@provider.example  Bcc: everybody@provider.example"`,
				`not a plain mail address, left out: "Abuse Desk <desk@provider.example>"`,
			},
		}},
		{"apnic", "2001:db8:123::1", Contact{
			Mails:   []string{"irt@asia.example", "csirt@asia.example"},
			Network: netip.MustParsePrefix("2001:db8:100::/40"), Name: "EXAMPLE-AP", Holder: "Example Asia", Country: "JP",
			Remarks: []string{"irt@asia.example was validated on 2026-01-01"},
			Notes:   []string{"the answer names more than is read: see it in full"},
		}},
		{"lacnic", "203.0.113.200", Contact{
			Mails:   []string{"abuse@telecom.example"},
			Network: netip.MustParsePrefix("203.0.113.0/24"), Holder: "Exemplo Telecom", Country: "BR",
		}},
		{"afrinic", "198.18.3.4", Contact{
			Network: netip.MustParsePrefix("198.18.0.0/16"), Name: "EXAMPLE-AF", Holder: "Example Africa", Country: "ZA",
			Others:  []string{"technical: hostmaster@africa.example"},
			Remarks: []string{"Abuse of this network: tell abuse@africa.example"},
		}},
	} {
		t.Run(test.registry, func(t *testing.T) {
			got, err := Parse(fixture(t, test.registry), netip.MustParseAddr(test.about))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, onlyParsed...); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ name, raw, want string }{
		{"nothing", "", "not a JSON object"},
		{"page", "<html>", "not a JSON object"},
		{"list", "[]", "not a JSON object"},
		{"cut off", `{"startAddress":"192.0.2.0"`, "not a JSON object"},
		{"error", `{"errorCode":404,"title":"Not\u001b[2JFound"}`, "error 404: Not [2JFound"},
		{"something else", `{"objectClassName":"entity"}`, "not about a network"},
		{"another network", `{"startAddress":"198.51.100.0","endAddress":"198.51.100.255"}`, "does not hold 192.0.2.7"},
		{"another family", `{"startAddress":"::","endAddress":"ffff::"}`, "does not hold 192.0.2.7"},
		{"wrong types", `{"startAddress":7,"endAddress":"192.0.2.255"}`, "start of the network"},
		{"backwards", `{"startAddress":"192.0.2.255","endAddress":"192.0.2.0"}`, "does not hold"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.raw), netip.MustParseAddr("192.0.2.7"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestParseNumbers(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"startAutnum":64496,"endAutnum":64511}`: true, `{"objectClassName":"autnum"}`: true, `{"objectClassName":"entity"}`: false,
		`{"startAutnum":1,"endAutnum":2}`: false, `{"startAutnum":"64500","endAutnum":64500}`: false, `{"startAutnum":64500}`: false,
	} {
		if _, err := parseAnswer([]byte(raw), subject{as: 64500}); (err == nil) != want {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// What has the wrong type is left out, and the rest is read.
func TestParseWrongTypes(t *testing.T) {
	raw := `{"startAddress":"192.0.2.0","endAddress":"192.0.2.255","name":7,"country":["NL"],"remarks":[null,{"description":"text"}],
	"entities":[null,5,"x",{"roles":"abuse"},{"roles":["abuse"],"vcardArray":{}},{"roles":["abuse"],"vcardArray":["vcard"]},
	{"roles":["abuse",3],"vcardArray":["vcard",[7,["email"],["email",{},"text",null],["email",{},"text",{"a":1}],[1,2,3,4],
	["EMAIL",{},"text","abuse@good.example"]]]},{"entities":{"roles":["abuse"]}}]}`
	got, err := Parse([]byte(raw), netip.MustParseAddr("192.0.2.7"))
	if err != nil || !slices.Equal(got.Mails, []string{"abuse@good.example"}) {
		t.Errorf("got %v, %v", got.Mails, err)
	}
}

func TestParseIsBounded(t *testing.T) {
	entity := `{"roles":["abuse"],"vcardArray":["vcard",[["email",{},"text","a%d@good.example"]]]},`
	var b strings.Builder
	b.WriteString(`{"startAddress":"192.0.2.0","endAddress":"192.0.2.255","entities":[`)
	for i := range 2000 {
		b.WriteString(strings.ReplaceAll(entity, "%d", strings.Repeat("x", i%40)))
	}
	b.WriteString(`{}]}`)
	got, err := Parse([]byte(b.String()), netip.MustParseAddr("192.0.2.7"))
	if err != nil || len(got.Mails) != maxMails {
		t.Errorf("got %d addresses, %v, want %d", len(got.Mails), err, maxMails)
	}
	deep := strings.Repeat(`{"entities":[`, 5000)
	if _, err := Parse([]byte(deep), netip.MustParseAddr("192.0.2.7")); err == nil {
		t.Error("read what is cut off")
	}
}

func TestPlainMail(t *testing.T) {
	for _, good := range []string{"a@b.example", "abuse+x@sub.b.example", " mailto:a@b.example "} {
		if _, ok := plainMail(good); !ok {
			t.Errorf("%q was refused", good)
		}
	}
	for _, bad := range []string{
		"", "@", "a@", "@b.example", "a@b", "a@192.0.2.1", "a@[192.0.2.1]", "a b@c.example", "a@b.example,c@d.example",
		"a@b.example\nBcc: c@d.example", "A <a@b.example>", `"a b"@c.example`, "a@b@c.example", "a(c)@b.example",
		"a@-b.example", "a@b..example", "a%c@b.example", "ä@b.example", "a@bücher.example", ".a@b.example",
		strings.Repeat("a", 65) + "@b.example", "a@" + strings.Repeat("b.", 200) + "example",
	} {
		if got, ok := plainMail(bad); ok {
			t.Errorf("%q passed as %q", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"arin", "ripe", "apnic", "lacnic", "afrinic", "autnum"} {
		f.Add(fixture(f, name), []byte{192, 0, 2, 7})
	}
	f.Add([]byte(`{"startAddress":"::","endAddress":"ffff::"}`), bytes.Repeat([]byte{0x20}, 16))
	f.Fuzz(func(t *testing.T, raw, address []byte) {
		a, ok := netip.AddrFromSlice(address)
		if !ok {
			return
		}
		c, err := Parse(raw, a)
		if err != nil {
			return
		}
		if !c.Network.Contains(a.Unmap()) {
			t.Errorf("network %v does not hold %v", c.Network, a)
		}
		for _, m := range c.Mails {
			if !validMail(m) || strings.ContainsAny(m, "\r\n<>,; \"") {
				t.Errorf("address %q", m)
			}
		}
		if len(c.Mails) > maxMails || len(c.Others) > maxMails || len(c.Forms) > maxMails || len(c.Remarks) > maxRemarks {
			t.Error("more is kept than is allowed")
		}
		texts := slices.Concat(c.Others, c.Forms, c.Remarks, c.Notes, []string{c.Name, c.Holder, c.Country})
		for _, s := range texts {
			if len(s) > maxText+100 || strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("text %q", s)
			}
		}
	})
}
