package stix

import "fmt"

// TLP is a colour of the Traffic Light Protocol 2.0. The zero TLP is amber.
type TLP uint8

// The colours, as far as a bundle can have them.
const (
	Amber TLP = iota
	AmberStrict
	Green
	Clear
	Red
)

// The identifiers are those that OASIS published for everybody, with TLP 2.0 as
// an extension of STIX 2.1.
const (
	tlpExtension = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
	tlpCreated   = "2022-10-01T00:00:00.000Z"
)

var colours = [...]struct{ word, name, id string }{
	Amber:       {"amber", "TLP:AMBER", "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"},
	AmberStrict: {"amber+strict", "TLP:AMBER+STRICT", "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"},
	Green:       {"green", "TLP:GREEN", "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"},
	Clear:       {"clear", "TLP:CLEAR", "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"},
	Red:         {"red", "TLP:RED", "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"},
}

// String returns the colour as people write it: TLP:AMBER.
func (t TLP) String() string {
	if int(t) < len(colours) {
		return colours[t].name
	}
	return "invalid"
}

// UnmarshalText reads a colour: amber, or TLP:AMBER.
func (t *TLP) UnmarshalText(b []byte) error {
	for i, c := range colours {
		if string(b) == c.word || string(b) == c.name {
			*t = TLP(i)
			return nil
		}
	}
	return fmt.Errorf("%.40q is none of clear, green, amber, amber+strict, red", b)
}

func (t TLP) marking() *Marking {
	c := colours[t]
	return &Marking{Common: Common{Type: "marking-definition", Spec: spec, ID: c.id, Created: tlpCreated}, Name: c.name,
		Extensions: map[string]Extension{tlpExtension: {Type: "property-extension", TLP: c.word}}}
}
