package demo

import (
	"fmt"
	"time"

	"github.com/tocsin-io/tocsin/api"
)

// How a figure came about.
const (
	measured  = "measured here"
	simulated = "simulated time"
)

// notShown is what no demo can tell, whatever comes of it.
var (
	notShown = []string{
		"The attack is a recording: an address that is blocked goes on in the logs, so nothing shows how much a block prevents.",
		"The incident is invented after what was published about 2023; which devices, addresses and names were concerned then is not known.",
		"All devices run on this machine: no internet between, no slow links, no sleeping disks.",
		"No letter leaves, so no provider answers: how long one takes to shut a server down is not part of it.",
	}
	notShownFR = []string{
		"L’attaque est un enregistrement : une adresse bloquée continue dans les journaux, donc rien ne montre combien un blocage empêche.",
		"L’incident est inventé d’après ce qui a été publié de 2023 ; quels appareils, adresses et noms étaient alors concernés n’est pas connu.",
		"Tous les appareils tournent sur cette machine : ni internet entre eux, ni liaisons lentes, ni disques endormis.",
		"Aucune lettre ne part, donc aucun hébergeur ne répond : le temps qu’il lui faut pour arrêter un serveur n’en fait pas partie.",
	}
)

// A told story is its captions by stage.
type byStage map[Stage]api.DemoStory

func (b byStage) number(s Stage, key string) float64 {
	v, _ := b[s].Measured[key].(float64)
	return v
}

// after writes how long after the attack began something came, by the demo's clock.
func (b byStage) after(s Stage, key string) string {
	return short(time.Duration(b.number(s, key) * float64(time.Second)))
}

// rows sets the clocks of a story beside those of 2023.
func rows(stories []api.DemoStory) []api.DemoRow {
	list := []api.DemoRow{}
	by := byStage{}
	for _, s := range stories {
		by[Stage(s.Stage)] = s
	}
	row := func(of Stage, en, fr api.DemoClocks) {
		if _, reached := by[of]; !reached {
			return
		}
		if en.How == "" {
			en.How, fr.How = simulated, "temps simulé"
		}
		list = append(list, api.DemoRow{DemoClocks: en, FR: fr})
	}
	since := func(s Stage, key, what, in2023, quoi, en2023 string) {
		after := by.after(s, key)
		row(s, api.DemoClocks{What: what, In2023: in2023, Here: after + " after the attack began"},
			api.DemoClocks{What: quoi, In2023: en2023, Here: comma(after) + " après le début de l’attaque"})
	}
	m := func(s Stage, key string) any { return by[s].Measured[key] }
	since(FirstBlock, "after_seconds", "block, at the first device", "not said", "blocage, sur le premier appareil", "non dit")
	since(Everywhere, "since_attack_seconds", "block, at every device", "within 7 h", "blocage, sur tous les appareils", "en moins de 7 h")
	took, devices, kernels := by.after(Everywhere, "seconds"), m(Everywhere, "devices"), m(Everywhere, "kernels")
	row(Everywhere,
		api.DemoClocks{What: "  from decision to all devices", In2023: "not said", Here: fmt.Sprintf("%s; %v devices, %v by the kernel", took, devices, kernels), How: measured},
		api.DemoClocks{What: "  de la décision à tous les appareils", In2023: "non dit", Here: fmt.Sprintf("%s ; %v appareils, %v par le noyau", comma(took), devices, kernels), How: "mesuré ici"})
	since(Opened, "after_seconds", "who acts together", "not said", "qui agit ensemble", "non dit")
	since(Ranked, "after_seconds", "control server, found", "within 48 h", "serveur de commande, trouvé", "en moins de 48 h")
	drafted := by.after(Drafted, "after_seconds")
	row(Drafted, api.DemoClocks{What: "control server, its provider", In2023: "shut down within 48 h", Here: "mail drafted in " + drafted},
		api.DemoClocks{What: "serveur de commande, son hébergeur", In2023: "arrêté en moins de 48 h", Here: "courriel rédigé en " + comma(drafted)})
	confirmed, covered, unknown := m(Compromised, "confirmed"), m(Compromised, "covered"), m(Compromised, "unknown")
	low, high := 100*by.number(Compromised, "low"), 100*by.number(Compromised, "high")
	row(Compromised,
		api.DemoClocks{What: "devices entered", In2023: "not said", Here: fmt.Sprintf("%v of %v (%.0f to %.0f %%), %v unknown", confirmed, covered, low, high, unknown)},
		api.DemoClocks{What: "appareils pénétrés", In2023: "non dit", Here: fmt.Sprintf("%v sur %v (%.0f à %.0f %%), %v inconnus", confirmed, covered, low, high, unknown)})
	return list
}
