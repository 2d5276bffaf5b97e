package takedown

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tocsin-io/tocsin"
)

// Propose returns what the system proposes to open about c, whose labelled
// devices belong to so many owners, or why not. The caller gives it an ID; a
// person opens the case.
func Propose(c tocsin.Controller, owners int) (Opening, error) {
	o := Opening{Kind: Controller, Port: c.Port, Protocol: c.Protocol}
	switch c.Class {
	case tocsin.Commands:
	case tocsin.Payload:
		o.Kind = CompromisedServer
	default: // what devices attacked is a victim, too
		return Opening{}, fmt.Errorf("%w: %s is of class %s", ErrNotProven, c.Address, c.Class)
	}
	switch {
	case !Public(c.Address):
		return Opening{}, fmt.Errorf("%w: %s belongs to no provider", ErrNotProven, c.Address)
	case !c.Admitted:
		return Opening{}, fmt.Errorf("%w: %s has q %.3g, which may be chance", ErrNotProven, c.Address, c.Q)
	case c.Labelled < 2:
		return Opening{}, fmt.Errorf("%w: %d devices likely compromised contacted %s, want 2", ErrNotProven, c.Labelled, c.Address)
	case c.Strata < 2 && owners < 2:
		return Opening{}, fmt.Errorf("%w: those who contacted %s are of one model and one owner", ErrNotProven, c.Address)
	}
	a := c.Address.Unmap()
	o.Source = netip.PrefixFrom(a, a.BitLen())
	o.Reasons = append(slices.Clone(c.Reasons[:min(len(c.Reasons), maxReasons-1)]), tocsin.Reason(fmt.Sprintf(
		"%d of %d devices that contacted it are likely compromised, in %d strata, of %d owners; q %.3g, score %.2f",
		c.Labelled, c.Devices, c.Strata, owners, c.Q, c.Score)))
	return o, nil
}
