package stix

// A Bundle is a list of objects. Its identifier follows from them.
type Bundle struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Objects []any  `json:"objects"`
}

// Common is what every object has. Observables have no times.
type Common struct {
	Type      string   `json:"type"`
	Spec      string   `json:"spec_version"`
	ID        string   `json:"id"`
	CreatedBy string   `json:"created_by_ref,omitempty"`
	Created   string   `json:"created,omitempty"`
	Modified  string   `json:"modified,omitempty"`
	Markings  []string `json:"object_marking_refs,omitempty"`
}

func (c *Common) head() *Common { return c }

// An object is a pointer to any struct that begins with Common.
type object interface{ head() *Common }

// An Identity is the fleet, under a pseudonym.
type Identity struct {
	Common
	Name  string `json:"name"`
	Class string `json:"identity_class"`
}

// An Indicator is an address to look for.
type Indicator struct {
	Common
	Name           string   `json:"name"`
	Types          []string `json:"indicator_types"`
	Pattern        string   `json:"pattern"`
	PatternType    string   `json:"pattern_type"`
	PatternVersion string   `json:"pattern_version"`
	ValidFrom      string   `json:"valid_from"`
	ValidUntil     string   `json:"valid_until"`
	Confidence     int      `json:"confidence,omitempty"`
}

// A Campaign is sources that act together.
type Campaign struct {
	Common
	Name        string `json:"name"`
	Description string `json:"description"`
	Confidence  int    `json:"confidence,omitempty"`
	FirstSeen   string `json:"first_seen"`
	LastSeen    string `json:"last_seen"`
	Objective   string `json:"objective"`
}

// An Infrastructure is a controller, or what it has devices fetch files from.
type Infrastructure struct {
	Common
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Types       []string `json:"infrastructure_types"`
	FirstSeen   string   `json:"first_seen"`
	LastSeen    string   `json:"last_seen"`
}

// An Observable is an address.
type Observable struct {
	Common
	Value string `json:"value"`
}

// A CourseOfAction is what helps.
type CourseOfAction struct {
	Common
	Name        string `json:"name"`
	Description string `json:"description"`
}

// A Relationship joins two objects.
type Relationship struct {
	Common
	Kind string `json:"relationship_type"`
	From string `json:"source_ref"`
	To   string `json:"target_ref"`
}

// A Sighting says how often the fleet saw an indicator.
type Sighting struct {
	Common
	Of        string   `json:"sighting_of_ref"`
	Where     []string `json:"where_sighted_refs"`
	Count     uint64   `json:"count"`
	FirstSeen string   `json:"first_seen"`
	LastSeen  string   `json:"last_seen"`
	Summary   bool     `json:"summary"`
}

// A Marking is one of the markings of TLP 2.0, which are the same for everybody.
type Marking struct {
	Common
	Name       string               `json:"name"`
	Extensions map[string]Extension `json:"extensions"`
}

// An Extension holds the colour of a Marking.
type Extension struct {
	Type string `json:"extension_type"`
	TLP  string `json:"tlp_2_0"`
}
