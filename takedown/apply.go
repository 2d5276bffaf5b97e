package takedown

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// Again is how long one person alone waits before approving a second time.
	Again = 30 * time.Minute
	// Reopening is how long after its end contact still belongs to a case.
	Reopening = 30 * 24 * time.Hour
)

// waiting are the states between the first mail and its effect.
var waiting = []State{Sent, Delivered, Bounced, Acknowledged, Action}

// allowed tells in which states an act makes sense.
var allowed = [...][]State{
	Begin:       {0},
	Approve:     {Draft, Reopened, Approved, Sent, Delivered, Bounced, Acknowledged, Action},
	Send:        {Draft, Reopened, Approved, Sent, Delivered, Bounced, Acknowledged, Action},
	Deliver:     {Sent, Delivered, Bounced, Acknowledged, Action, VerifiedDown},
	Bounce:      {Sent, Delivered, Bounced, Acknowledged, Action, VerifiedDown},
	Acknowledge: {Sent, Delivered, Bounced},
	TakeAction:  {Sent, Delivered, Bounced, Acknowledged},
	VerifyDown:  waiting,
	Close:       {Action, VerifiedDown},
	Reject:      {Draft, Reopened, Approved, Sent, Delivered, Bounced, Acknowledged, Action, VerifiedDown},
	Reopen:      {VerifiedDown, Closed},
	Note: {Draft, Reopened, Approved, Sent, Delivered, Bounced, Acknowledged, Action, VerifiedDown, Closed,
		Rejected},
	Escalate: waiting,
}

// take lets e happen to c, and completes e.
func (c *Case) take(e *Entry) error {
	if int(e.Act) >= len(allowed) || e.Act == 0 {
		return errors.New("no such act")
	}
	if !slices.Contains(allowed[e.Act], c.State) {
		return fmt.Errorf("%w: it is %s", ErrState, c.State)
	}
	switch e.Act {
	case Begin:
		return c.begin(e)
	case Approve:
		return c.approve(e)
	case Send:
		return c.send(e)
	case Deliver, Bounce:
		return c.heard(e)
	case Acknowledge:
		c.State, c.Acknowledged = Acknowledged, e.At
	case TakeAction:
		c.State, c.Acted = Action, e.At
	case VerifyDown:
		if err := e.Proof.check(c.Kind, e.At); err != nil {
			return err
		}
		proof := *e.Proof
		proof.Witnesses = slices.Clone(proof.Witnesses)
		e.Proof, c.State, c.Down = &proof, VerifiedDown, e.At
	case Close, Reject:
		return c.end(e)
	case Reopen:
		return c.reopen(e)
	case Note:
		if e.Why == "" {
			return errors.New("say what")
		}
	case Escalate:
		return c.escalate(e)
	}
	return nil
}

func (c *Case) begin(e *Entry) error {
	if e.Opening == nil {
		return errors.New("say what it is about")
	}
	o, err := e.Opening.check()
	if err != nil {
		return err
	}
	e.Opening = &o
	c.Opening, c.State, c.Opened, c.Round = o, Draft, e.At, e.At
	return nil
}

// approve counts a person's word for one mail. Another mail begins anew.
func (c *Case) approve(e *Entry) error {
	switch {
	case fold(e.By) == System:
		return fmt.Errorf("%w: only a person approves", ErrApproval)
	case e.Digest == Digest{}:
		return errors.New("say which mail")
	case e.People < 1:
		return errors.New("say how many people may approve")
	}
	if e.Digest != c.Text {
		c.Text, c.Approvals, c.Ready = e.Digest, nil, false
	}
	if c.Ready {
		return fmt.Errorf("%w: this mail is approved already", ErrState)
	}
	if n := len(c.Approvals); n > 0 && fold(c.Approvals[n-1].By) == fold(e.By) {
		if e.People > 1 {
			return fmt.Errorf("%w: a second person has to approve", ErrApproval)
		}
		if from := c.Approvals[n-1].At.Add(Again); e.At.Before(from) {
			return fmt.Errorf("%w: one person alone approves again from %s on", ErrTooEarly, stamp(from))
		}
	}
	c.Approvals = append(c.Approvals, Approval{By: e.By, At: e.At})
	c.Ready = c.Kind != Controller || len(c.Approvals) >= 2
	switch {
	case c.Ready && (c.State == Draft || c.State == Reopened):
		c.State = Approved
	case !c.Ready && c.State == Approved: // another mail than the one that was approved
		c.State = Draft
	}
	return nil
}

// send takes down that the approved mail left. It moves the case on only where
// no mail has arrived yet: a mail to the next network is no new beginning.
func (c *Case) send(e *Entry) error {
	if !c.Ready || e.Digest != c.Text {
		return fmt.Errorf("%w: a person has to approve this mail as it is", ErrApproval)
	}
	if e.Mail == nil {
		return errors.New("say to whom")
	}
	m, err := e.Mail.check(c.Source, e.At, e.Digest)
	if err != nil {
		return err
	}
	if m.Repeats(c.Mails) {
		return fmt.Errorf("%w: %s had its mail on %s", ErrRepeat, m.Provider, day(m.At))
	}
	if m.MessageID != "" && c.mail(m.MessageID) != nil {
		return fmt.Errorf("message %s was sent before", m.MessageID)
	}
	e.Mail = &m
	c.Mails = append(c.Mails, m)
	c.Text, c.Approvals, c.Ready = Digest{}, nil, false
	if c.State == Approved || c.State == Bounced {
		c.State, c.Bounced = Sent, time.Time{}
	}
	if c.Sent.IsZero() {
		c.Sent = e.At
	}
	return nil
}

func (c *Case) mail(messageID string) *Mail {
	for i := range c.Mails {
		if c.Mails[i].MessageID == messageID {
			return &c.Mails[i]
		}
	}
	return nil
}

// heard takes down what became of a mail, once: a stranger may repeat it as
// often as he likes.
func (c *Case) heard(e *Entry) error {
	m := c.mail(e.MessageID)
	switch {
	case e.MessageID == "" || m == nil:
		return fmt.Errorf("no mail %q was sent", OneLine(e.MessageID, 60))
	case !m.Bounced.IsZero() || e.Act == Deliver && !m.Delivered.IsZero():
		return fmt.Errorf("%w: that is known of this mail", ErrState)
	case e.Act == Deliver:
		m.Delivered = e.At
		if c.State == Sent && !m.At.Before(c.Round) {
			c.State = Delivered
		}
		return nil
	}
	m.Bounced = e.At
	arrived := slices.ContainsFunc(c.Mails, func(m Mail) bool { return m.Bounced.IsZero() && !m.At.Before(c.Round) })
	if !arrived && (c.State == Sent || c.State == Delivered) {
		c.State, c.Bounced = Bounced, e.At
	}
	return nil
}

// end closes or rejects. What the fleet did not see go down is closed only with
// a reason.
func (c *Case) end(e *Entry) error {
	if e.Why == "" && (e.Act == Reject || c.State != VerifiedDown) {
		return errors.New("say why")
	}
	c.State, c.Closed = Closed, e.At
	if e.Act == Reject {
		c.State = Rejected
	}
	c.Text, c.Approvals, c.Ready = Digest{}, nil, false
	return nil
}

// reopen begins a new round: a new mail, a new clock.
func (c *Case) reopen(e *Entry) error {
	if end := latest(c.Down, c.Closed); !c.recurs(e.Seen, end) || e.Seen.After(e.At) {
		return fmt.Errorf("%w: no contact at %s belongs to a case that ended at %s; open another", ErrState, stamp(e.Seen), stamp(end))
	}
	c.State, c.Round = Reopened, e.At
	c.Text, c.Approvals, c.Ready = Digest{}, nil, false
	c.Sent, c.Bounced, c.Acknowledged, c.Acted = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	c.Down, c.Closed, c.Steps = time.Time{}, time.Time{}, nil
	return nil
}

// Recurs reports whether contact at that time reopens c.
func (c Case) Recurs(contact time.Time) bool {
	return slices.Contains(allowed[Reopen], c.State) && c.recurs(contact, latest(c.Down, c.Closed))
}

func (c Case) recurs(contact, end time.Time) bool {
	since := c.Down
	if since.IsZero() {
		since = c.Closed
	}
	return contact.After(since) && !contact.After(end.Add(Reopening))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (c *Case) escalate(e *Entry) error {
	if wordOf(stepWords[:], int(e.Step)) == "invalid" {
		return errors.New("say which step")
	}
	if slices.Contains(c.Steps, e.Step) {
		return fmt.Errorf("%w: %s was done before", ErrState, e.Step)
	}
	c.Steps = append(c.Steps, e.Step)
	return nil
}
