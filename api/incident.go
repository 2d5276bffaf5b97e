package api

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/takedown"
)

// A CampaignPage is one campaign with what was active beside it.
type CampaignPage struct {
	tocsin.Campaign
	Unattributed []tocsin.Member `json:"unattributed,omitempty"` // active at the same time, and joined to it by nothing: not blocked for that
	Counts       CampaignCounts  `json:"counts"`
}

// CampaignCounts is how much belongs to a campaign, which a brief answer does not list.
type CampaignCounts struct {
	Sources      int `json:"sources"`
	Targets      int `json:"targets"`
	Unattributed int `json:"unattributed"`
	Timeline     int `json:"timeline"`
}

// A CampaignLine is one campaign in a list: counts instead of what they count.
type CampaignLine struct {
	ID         tocsin.CampaignID     `json:"id"`
	Status     tocsin.CampaignStatus `json:"status"`
	Opened     time.Time             `json:"opened"` // when it was noticed
	First      time.Time             `json:"first"`
	Last       time.Time             `json:"last"`
	Ended      time.Time             `json:"ended,omitzero"`
	Into       tocsin.CampaignID     `json:"into,omitempty"` // what it was joined to, or split from
	Confidence float64               `json:"confidence"`     // 0 to 1
	Size       tocsin.Estimate       `json:"size"`           // sources, unseen ones included
	Attempts   uint64                `json:"attempts"`
	Dropped    uint64                `json:"dropped"`
	Sources    int                   `json:"sources"`
	Targets    int                   `json:"targets"`
	Services   []tocsin.Service      `json:"services"`
	Shared     bool                  `json:"shared,omitempty"`
}

// A CampaignList is part of all campaigns, the newest first.
type CampaignList struct {
	Campaigns []CampaignLine `json:"campaigns"`
	Next      string         `json:"next,omitempty"` // cursor of the next page; "" is the end
}

// A Compromise is the answer about every device, and the sum.
type Compromise struct {
	At      time.Time          `json:"at"`
	Summary compromise.Summary `json:"summary"`
	Devices []Assessed         `json:"devices"` // by ID
}

// A CompromisePage is the sum over all devices, and part of them. Their ledgers
// and closings are left out: ask about one device for those.
type CompromisePage struct {
	Compromise
	Next string `json:"next,omitempty"` // cursor of the next page; "" is the end
}

// An Assessed is the answer about one device, for people.
type Assessed struct {
	compromise.Assessment
	Name  string         `json:"name,omitempty"`
	Owner tocsin.OwnerID `json:"owner,omitempty"`
	Why   tocsin.Reason  `json:"why,omitempty"`
	// Likely is whether its own logs and files alone make it a compromised device: what
	// the ranking of controllers is told.
	Likely bool `json:"likely"`
}

// A Dismissal is a person's word that what was found on a device is harmless.
type Dismissal struct {
	Reason string `json:"reason"`
}

// A Notice is a text that people are to read, and what an approval of it names.
type Notice struct {
	bulletin.Text
	Digest compromise.Digest `json:"digest"`
	Ready  bool              `json:"ready"` // approved as it stands: it may be sent
}

// A NoticePage is part of all texts, in the order in which they were written.
type NoticePage struct {
	Notices []Notice `json:"notices"`
	Next    string   `json:"next,omitempty"` // cursor of the next page; "" is the end
}

// A NoticeApproval names the text that a person agrees to.
type NoticeApproval struct {
	Digest compromise.Digest `json:"digest"`
}

// A Ranking is every candidate for a controller, best first.
type Ranking struct {
	Candidates []controller.Candidate `json:"candidates"`
	Omitted    int                    `json:"omitted,omitempty"`   // further candidates, behind those
	Proposals  []takedown.Opening     `json:"proposals,omitempty"` // cases that nobody opened yet
	Observed   int                    `json:"observed"`            // destinations in all: what q is corrected for
	Devices    int                    `json:"devices"`
	Labelled   int                    `json:"labelled"`
	Lacking    tocsin.Reason          `json:"lacking,omitempty"` // what evidence is missing, if there is no candidate
}

// A Letter is one mail, as people approve it and as it is sent.
type Letter struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Report  string `json:"report,omitempty"` // X-ARF, as JSON
}

// A CaseLine is one case in a list.
type CaseLine struct {
	ID       takedown.ID       `json:"id"`
	Kind     takedown.Kind     `json:"kind"`
	Source   netip.Prefix      `json:"source"`
	Port     uint16            `json:"port,omitempty"`
	Protocol uint8             `json:"protocol,omitempty"`
	Domain   string            `json:"domain,omitempty"`
	Campaign tocsin.CampaignID `json:"campaign,omitempty"`
	State    takedown.State    `json:"state"`
	Ready    bool              `json:"ready,omitempty"` // a mail is approved, and was not sent
	Opened   time.Time         `json:"opened"`
	Closed   time.Time         `json:"closed,omitzero"`
	Clock    takedown.Clock    `json:"clock"`
}

// A CasePage is part of all cases, the newest first.
type CasePage struct {
	Cases []CaseLine `json:"cases"`
	Next  string     `json:"next,omitempty"` // cursor of the next page; "" is the end
}

// A CaseFile is a case with all that people see of it.
type CaseFile struct {
	Case    takedown.Case  `json:"case"`
	Clock   takedown.Clock `json:"clock"`
	Contact *CaseContact   `json:"contact,omitempty"`
	Draft   *CaseDraft     `json:"draft,omitempty"`
}

// A CaseContact is whom to write to, and how that is known.
type CaseContact struct {
	Mails   []string     `json:"mails,omitempty"` // best first
	Found   string       `json:"found,omitempty"`
	Name    string       `json:"name,omitempty"` // what the registry calls the network
	Holder  string       `json:"holder,omitempty"`
	Country string       `json:"country,omitempty"` // as registered
	Network netip.Prefix `json:"network,omitzero"`
	Forms   []string     `json:"forms,omitempty"`  // web pages of those who handle abuse
	Others  []string     `json:"others,omitempty"` // mail addresses with other roles
	Remarks []string     `json:"remarks,omitempty"`
	Notes   []string     `json:"notes,omitempty"`
	At      time.Time    `json:"at"`
	Stale   bool         `json:"stale,omitempty"` // older than a day, and nobody could be asked
}

// A CaseDraft is the mail that people read and approve.
type CaseDraft struct {
	At       time.Time       `json:"at"`
	Language string          `json:"language"`
	Letter   Letter          `json:"letter"`
	Gap      string          `json:"gap,omitempty"` // why there is no report in X-ARF
	Digest   takedown.Digest `json:"digest"`        // what an approval names
	Approved bool            `json:"approved"`      // it may be sent
}

// CaseLetters is what was written about a case, and what came back; the newest first.
type CaseLetters struct {
	Sent    []SentLetter `json:"sent"`
	Answers []CaseAnswer `json:"answers"` // the newest, bounded
}

// A SentLetter is a letter as it left.
type SentLetter struct {
	At        time.Time       `json:"at"`
	MessageID string          `json:"message_id,omitempty"`
	ByHand    bool            `json:"by_hand"`            // a person sent it, or filled in a form with it
	Language  string          `json:"language,omitempty"` // "" is not known
	Digest    takedown.Digest `json:"digest"`             // what was approved
	Letter    Letter          `json:"letter"`
}

// A CaseAnswer is a letter that came back. Anybody may have written it who saw one of
// ours, whatever it says.
type CaseAnswer struct {
	At      time.Time `json:"at"`   // when it was read
	Kind    string    `json:"kind"` // bounced, delayed, delivered, automatic or answer
	From    string    `json:"from"`
	Subject string    `json:"subject"`
	Written time.Time `json:"written,omitzero"` // by the sender's clock
	Text    string    `json:"text"`
	Cut     bool      `json:"cut"` // there was more
}

// A CaseWish says what a new case is about.
type CaseWish struct {
	Kind     takedown.Kind     `json:"kind"`
	Source   netip.Prefix      `json:"source"`
	Port     uint16            `json:"port,omitempty"`
	Protocol uint8             `json:"protocol,omitempty"` // 0 is TCP
	Domain   string            `json:"domain,omitempty"`
	Campaign tocsin.CampaignID `json:"campaign,omitempty"`
	Why      string            `json:"why,omitempty"`
}

// A DraftWish says how the mail of a case is to be written.
type DraftWish struct {
	Language string `json:"language,omitempty"` // "en", "fr" or "de"; "" is the hub's
	To       string `json:"to,omitempty"`       // "" is the contact that was found
	Keep     bool   `json:"keep,omitempty"`     // return the one that stands, if there is one
}

// A CaseApproval names the mail that a person agrees to.
type CaseApproval struct {
	Digest takedown.Digest `json:"digest"`
}

// A SendWish says how an approved mail leaves.
type SendWish struct {
	ByHand bool `json:"by_hand,omitempty"` // a person sent it, or filled in the provider's form
}

// A CaseAct is what a person does with a case by one word.
type CaseAct struct {
	Act       takedown.Act  `json:"act"` // note, close, reject, acknowledge, take-action, escalate, deliver or bounce
	Why       string        `json:"why,omitempty"`
	Step      takedown.Step `json:"step,omitzero"`        // of an escalation
	MessageID string        `json:"message_id,omitempty"` // of deliver and bounce
}

// A FullDossier is what is handed out on request only: TLP:AMBER.
type FullDossier struct {
	Dossier any    `json:"dossier"`
	Text    string `json:"text"`
}

// An Incident answers what happened, and keeps the cases. Errors are shown as those
// of the other parts.
type Incident interface {
	// Campaigns returns all that are remembered, the newest first.
	Campaigns(ctx context.Context) ([]tocsin.Campaign, error)
	// Campaign returns one, or [store.ErrNotFound].
	Campaign(ctx context.Context, id tocsin.CampaignID) (CampaignPage, error)
	// STIX returns a bundle of all campaigns, or of one, as JSON; tlp is a colour of
	// the Traffic Light Protocol, "" is amber.
	STIX(ctx context.Context, id tocsin.CampaignID, tlp string) ([]byte, error)
	// Ranking ranks what compromised devices contacted.
	Ranking(ctx context.Context) (Ranking, error)
	// Compromise answers about every device.
	Compromise(ctx context.Context) (Compromise, error)
	// Dismiss closes a device's evidence as harmless, until there is more.
	Dismiss(ctx context.Context, id tocsin.DeviceID, by, reason string) (Assessed, error)
	// Notices writes what owners and everybody are told, in every language.
	Notices(ctx context.Context) ([]bulletin.Text, error)
	// ApproveNotice notes that a person agrees to exactly that text.
	ApproveNotice(ctx context.Context, digest compromise.Digest, by string) (bulletin.Text, error)

	// Cases returns all cases, the newest first.
	Cases(ctx context.Context) ([]takedown.Case, error)
	// Case returns one, or [store.ErrNotFound].
	Case(ctx context.Context, id takedown.ID) (CaseFile, error)
	// CaseLetters returns what was written about a case and what came back.
	CaseLetters(ctx context.Context, id takedown.ID) (CaseLetters, error)
	// OpenCase opens a draft.
	OpenCase(ctx context.Context, w CaseWish, by string) (CaseFile, error)
	// DraftCase writes the mail from what is known now; what was approved before
	// counts no longer.
	DraftCase(ctx context.Context, id takedown.ID, w DraftWish) (CaseFile, error)
	// ApproveCase notes that a person agrees to exactly that mail.
	ApproveCase(ctx context.Context, id takedown.ID, digest takedown.Digest, by string) (CaseFile, error)
	// SendCase sends the mail that was approved.
	SendCase(ctx context.Context, id takedown.ID, w SendWish, by string) (CaseFile, error)
	// ActOnCase does something else with a case.
	ActOnCase(ctx context.Context, id takedown.ID, w CaseAct, by string) (CaseFile, error)
	// TakeAnswer notes a letter that came back with its case.
	TakeAnswer(ctx context.Context, letter io.Reader) (CaseFile, error)
	// FullDossier returns what is handed out on request, in a language.
	FullDossier(ctx context.Context, id takedown.ID, language string) (FullDossier, error)
	// Print returns a case with its clock for people: form is "md" or "html".
	Print(ctx context.Context, id takedown.ID, form string) ([]byte, error)

	// ImportFlows takes a conn.log of Zeek, TSV or JSON, and keeps what the devices
	// of the fleet opened.
	ImportFlows(ctx context.Context, conn io.Reader) (FlowsImport, error)

	// TestNotifications sends a test to every recipient, and says which could not be
	// reached.
	TestNotifications(ctx context.Context) error
}

// A FlowsImport is what became of an import of flow records.
type FlowsImport struct {
	Lines    int    `json:"lines"`
	Flows    int    `json:"flows"`           // that could be read
	Taken    int    `json:"taken"`           // of the fleet's devices, to addresses of the internet
	Others   int    `json:"others"`          // of other machines: left out
	Bad      int    `json:"bad"`             // lines that could not be read
	Ahead    int    `json:"ahead,omitempty"` // that end after now: left out
	FirstBad string `json:"first_bad,omitempty"`
	Cut      string `json:"cut,omitempty"` // why the end could not be read
	Devices  int    `json:"devices"`
	Contacts int    `json:"contacts"` // kept
}
