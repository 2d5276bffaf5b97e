package dossier

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/takedown"
)

// Version is the edition of X-ARF that reports are written in.
const Version = "4.2.0"

// A Core is what every report in X-ARF has.
type Core struct {
	Version    string   `json:"xarf_version"`
	ReportID   string   `json:"report_id"`
	Timestamp  string   `json:"timestamp"` // when it happened, to match SourcePort
	Reporter   Party    `json:"reporter"`
	Sender     Party    `json:"sender"`
	Source     string   `json:"source_identifier"` // an address; of IPv6 also the /64 of one customer
	SourcePort uint16   `json:"source_port,omitempty"`
	Category   string   `json:"category"`
	Type       string   `json:"type"`
	Evidence   []Item   `json:"evidence,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	Confidence float64  `json:"confidence,omitempty"`
	// evidence_source stays out: it would tell how the attack was found.
	Description string `json:"description,omitempty"`
}

// An Item is one piece of evidence in a report.
type Item struct {
	ContentType string `json:"content_type"`
	Description string `json:"description,omitempty"`
	Payload     string `json:"payload"` // base64
	Hash        string `json:"hash"`    // sha256 of what the payload decodes to
	Size        int    `json:"size"`    // of the same, in bytes
}

// A LoginAttack reports a source that guesses passwords.
type LoginAttack struct {
	Core
	Protocol     string `json:"protocol"`
	FirstSeen    string `json:"first_seen"`
	LastSeen     string `json:"last_seen"`
	Service      string `json:"service,omitempty"`
	AttemptCount uint64 `json:"attempt_count"`
}

// A Botnet reports a controller.
type Botnet struct {
	Core
	CompromiseEvidence string `json:"compromise_evidence"`
	C2Server           string `json:"c2_server"`
	C2Protocol         string `json:"c2_protocol"`
	FirstSeen          string `json:"first_seen"`
	LastSeen           string `json:"last_seen"`
}

// A CompromisedServer reports a server that is misused.
type CompromisedServer struct {
	Core
	CompromiseMethod string `json:"compromise_method"`
	FirstSeen        string `json:"first_seen"`
	LastSeen         string `json:"last_seen"`
}

// report writes the report of a case, checked, or says why there is none.
func report(in *Input, f *Forwardable) ([]byte, error) {
	s := f.sum
	core := Core{
		Version: Version, Timestamp: zulu(s.last), Reporter: tidy(in.Reporter), Sender: tidy(in.Sender),
		Source: f.source, Confidence: confidence(in), Tags: []string{"tlp:clear", "pap:clear"},
		Evidence: []Item{text("Log lines in UTC, addresses of the reporting side shortened to their network", strings.Join(f.Lines, "\n")+"\n")},
	}
	var r interface{ Check() error }
	switch f.kind {
	case takedown.BruteForce:
		core.Category, core.Type = "connection", "login_attack"
		// The port means something only together with the time when it was used.
		if core.SourcePort = s.port; s.port != 0 {
			core.Timestamp = zulu(s.portAt)
		}
		core.Description = fmt.Sprintf("Password guessing from %s: %d attempts from %s to %s", f.source, s.attempts, zulu(s.first), zulu(s.last))
		a := &LoginAttack{Protocol: "tcp", FirstSeen: zulu(s.first), LastSeen: zulu(s.last), AttemptCount: s.attempts}
		if len(s.services) == 1 {
			a.Service = s.services[0]
		}
		a.Core = core
		a.ReportID = identify(in.Case.ID, a)
		r = a
	case takedown.Controller:
		core.Category, core.Type, core.SourcePort = "infrastructure", "botnet", f.port
		core.Tags = append(core.Tags, "botnet:command-and-control")
		core.Description = fmt.Sprintf("Server that appears to command compromised machines: %d connections from %s to %s", s.connections, zulu(s.first), zulu(s.last))
		b := &Botnet{CompromiseEvidence: "Compromised machines keep connecting to this address and port; times are in the evidence",
			C2Server: f.source, C2Protocol: c2Protocol(in.Case.Protocol), FirstSeen: zulu(s.first), LastSeen: zulu(s.last)}
		b.Core = core
		b.ReportID = identify(in.Case.ID, b)
		r = b
	default:
		core.Category, core.Type, core.SourcePort = "infrastructure", "compromised_server", f.port
		core.Description = fmt.Sprintf("Server that is misused against others: %d attempts by it and %d connections to it from %s to %s", s.attempts, s.connections, zulu(s.first), zulu(s.last))
		c := &CompromisedServer{CompromiseMethod: "unknown", FirstSeen: zulu(s.first), LastSeen: zulu(s.last)}
		c.Core = core
		c.ReportID = identify(in.Case.ID, c)
		r = c
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("no X-ARF: %w", err)
	}
	return json.MarshalIndent(r, "", "  ")
}

func tidy(p Party) Party {
	return Party{Org: takedown.OneLine(p.Org, maxOrg), Contact: takedown.OneLine(p.Contact, takedown.MaxName), Domain: takedown.OneLine(p.Domain, takedown.MaxName)}
}

func c2Protocol(n uint8) string {
	if p := protocol(n); p == "tcp" || p == "udp" {
		return p
	}
	return "custom"
}

// confidence is that of the campaign in this source, where there is one.
func confidence(in *Input) float64 {
	if in.Campaign == nil || in.Case.Kind != takedown.BruteForce {
		return 0
	}
	i := slices.IndexFunc(in.Campaign.Sources, func(m tocsin.Member) bool { return m.Source == in.Case.Source })
	if i < 0 {
		return 0
	}
	return min(max(in.Campaign.Sources[i].Confidence, 0), 1)
}

// text returns evidence that people can read.
func text(description, content string) Item {
	h := sha256.Sum256([]byte(content))
	return Item{ContentType: "text/plain", Description: description, Payload: base64.StdEncoding.EncodeToString([]byte(content)),
		Hash: "sha256:" + hex.EncodeToString(h[:]), Size: len(content)}
}

// space is the name space of the identifiers of reports.
var space = uuid.MustParse("6f1c9a2e-0b57-4d0c-9a43-5e8f6c1d7b90")

// identify makes the identifier of a report from its case and content: the same
// report is recognised as such. It is written as version 4, which the format
// asks for.
func identify(id takedown.ID, r any) string {
	b, err := json.Marshal(r)
	if err != nil {
		return "" // which the check refuses
	}
	return uuid.NewHash(sha256.New(), space, append([]byte(string(id)+"\n"), b...), 4).String()
}

var errNoPort = errors.New("no sighting tells a source port, which the format asks for")
