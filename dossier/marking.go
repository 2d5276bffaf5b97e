package dossier

// A Marking says who may read an object, and what may be done with it.
type Marking struct {
	TLP string `json:"tlp"` // Traffic Light Protocol 2.0
	PAP string `json:"pap"` // Permissible Actions Protocol
}

var (
	// Clear is for what the attacker may read as well.
	Clear = Marking{TLP: "TLP:CLEAR", PAP: "PAP:CLEAR"}
	// Amber is for the provider and those of its customers who need to know; the
	// attacker must not notice.
	Amber = Marking{TLP: "TLP:AMBER", PAP: "PAP:AMBER"}
)
