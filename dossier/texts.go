package dossier

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin/takedown"
)

// Language is what a text for people is written in.
type Language string

// The languages of the texts. Any other is English.
const (
	English Language = "en"
	French  Language = "fr"
	German  Language = "de"
)

// Languages are all languages of the texts.
func Languages() []Language { return []Language{English, French, German} }

// UnmarshalText reads the two letters of a language.
func (l *Language) UnmarshalText(b []byte) error {
	if !slices.Contains(Languages(), Language(b)) {
		return fmt.Errorf("language %q is none of en, fr, de", takedown.OneLine(string(b), 20))
	}
	*l = Language(b)
	return nil
}

type byKind map[takedown.Kind]string

// words are the sentences of one language. What a sentence asks for depends on
// the kind of case; numbers stand in lists, so that no plural can be wrong.
type words struct {
	title, what, ask                                               byKind
	greeting, askTitle, evidence, left                             string
	answerTitle, answer, attached, passOn, closing                 string
	colon                                                          string // French wants a blank before it
	address, port, domain, from, to, attempts, connections         string
	services, networks                                             string
	confidential, method, fleet, devices, covered, attacked        string
	compromised, campaign, sources, size, victims, withheld, items string
	how                                                            byKind
	accounts, log, labelled, strata, score, q                      string
}

func (l Language) words() *words {
	switch l {
	case French:
		return &french
	case German:
		return &german
	}
	return &english
}

// width is how wide the names of facts are in a list.
func (w *words) width() int {
	n := 0
	for _, name := range []string{w.address, w.port, w.domain, w.from, w.to, w.attempts, w.connections, w.services, w.networks} {
		n = max(n, utf8.RuneCountInString(name+w.colon))
	}
	return n
}

var english = words{
	title: byKind{
		takedown.Controller:        "Server commanding compromised machines",
		takedown.BruteForce:        "Password guessing",
		takedown.CompromisedServer: "Compromised server",
	},
	greeting: "Dear abuse team,",
	what: byKind{
		takedown.Controller: "Machines that attackers have broken into keep connecting to a server in your network,\n" +
			"which appears to command them.",
		takedown.BruteForce: "An address in your network is guessing passwords on machines it has no business with.",
		takedown.CompromisedServer: "A server in your network is being misused to attack other machines or to supply them\n" +
			"with malicious files. It has probably been compromised itself.",
	},
	askTitle: "What we ask of you:",
	ask: byKind{
		takedown.Controller: "Please take this server off the network and tell us when that is done. If you can, keep a\n" +
			"copy of its disk and its connection records first: they show which other machines it commands.",
		takedown.BruteForce: "Please make sure that it stops, and tell us what you did. Machines like this are often\n" +
			"compromised without their owner's knowledge, so your customer may need help.",
		takedown.CompromisedServer: "Please isolate the server until it has been cleaned, and tell us what you did. Your\n" +
			"customer may not know of it yet.",
	},
	evidence:     "Evidence (lines: %d; all times in UTC, our addresses shortened to their network):",
	left:         "older lines left out: %d",
	answerTitle:  "How to answer:",
	answer:       "Reply to this message and leave [%s] in the subject. A person reads it.",
	attached:     "The same report is attached for machines (X-ARF v4.2).",
	passOn:       "You may pass this report on to your customer (TLP:CLEAR). More evidence is available on\nrequest, under TLP:AMBER.",
	closing:      "Kind regards,",
	colon:        ":",
	address:      "Address",
	port:         "Port",
	domain:       "Domain",
	from:         "First seen",
	to:           "Last seen",
	attempts:     "Attempts",
	connections:  "Connections",
	services:     "Services",
	networks:     "Networks affected",
	confidential: "Confidential: for your organisation and those of its customers who need it in order to protect\nthemselves. Do not let the suspect notice: no probing, no contact.",
	method:       "Method",
	how: byKind{
		takedown.Controller: "Outgoing connections of devices that were likely compromised are compared with those of\n" +
			"comparable devices that were not, by an exact test within each model and firmware, corrected for\n" +
			"the number of destinations observed; timing and regularity rank what remains.",
		takedown.BruteForce: "Failed log-ins are read from the devices' own logs and counted over the whole fleet.",
		takedown.CompromisedServer: "Outgoing connections and failed log-ins of the fleet's devices are compared: the server was\n" +
			"contacted by compromised devices before they began to attack, or attacked others itself.",
	},
	fleet: "Fleet", devices: "Devices", covered: "With complete telemetry", attacked: "Attacked", compromised: "Compromised (confirmed or suspected)",
	campaign: "Campaign", sources: "Sources known", size: "Sources estimated (95 % interval)",
	victims: "Victims", withheld: "Victims not named here", items: "Evidence kept", accounts: "Default accounts tried", log: "Log",
	labelled: "Likely compromised devices among them", strata: "Models and firmwares among those", score: "Score", q: "Corrected error rate (q)",
}

var french = words{
	title: byKind{
		takedown.Controller:        "Serveur de commande de machines compromises",
		takedown.BruteForce:        "Attaque par force brute",
		takedown.CompromisedServer: "Serveur compromis",
	},
	greeting: "Madame, Monsieur,",
	what: byKind{
		takedown.Controller: "Des machines piratées se connectent de façon répétée à un serveur de votre réseau, qui semble\n" +
			"les commander.",
		takedown.BruteForce: "Une adresse de votre réseau tente de deviner les mots de passe de machines qui ne la concernent\n" +
			"pas.",
		takedown.CompromisedServer: "Un serveur de votre réseau est détourné pour attaquer d'autres machines ou pour leur fournir des\n" +
			"fichiers malveillants. Il a vraisemblablement été compromis lui-même.",
	},
	askTitle: "Ce que nous vous demandons :",
	ask: byKind{
		takedown.Controller: "Merci de déconnecter ce serveur et de nous prévenir lorsque c'est fait. Si possible, conservez\n" +
			"au préalable une copie de son disque et de ses journaux de connexion : ils montrent quelles autres\n" +
			"machines il commande.",
		takedown.BruteForce: "Merci de faire cesser ces tentatives et de nous indiquer les mesures prises. Ces machines sont\n" +
			"souvent compromises à l'insu de leur propriétaire : votre client aura peut-être besoin d'aide.",
		takedown.CompromisedServer: "Merci d'isoler ce serveur jusqu'à son nettoyage et de nous indiquer les mesures prises. Il est\n" +
			"possible que votre client ne soit pas encore au courant.",
	},
	evidence:     "Éléments de preuve (lignes : %d ; heures en UTC, nos adresses réduites à leur réseau) :",
	left:         "lignes plus anciennes omises : %d",
	answerTitle:  "Pour répondre :",
	answer:       "Répondez à ce message en conservant [%s] dans l'objet. Une personne le lira.",
	attached:     "Le même signalement est joint dans un format lisible par machine (X-ARF v4.2).",
	passOn:       "Vous pouvez transmettre ce signalement à votre client (TLP:CLEAR). D'autres éléments sont\ndisponibles sur demande, sous TLP:AMBER.",
	closing:      "Cordialement,",
	colon:        " :",
	address:      "Adresse",
	port:         "Port",
	domain:       "Domaine",
	from:         "Première observation",
	to:           "Dernière observation",
	attempts:     "Tentatives",
	connections:  "Connexions",
	services:     "Services",
	networks:     "Réseaux touchés",
	confidential: "Confidentiel : réservé à votre organisation et à ceux de ses clients qui en ont besoin pour se\nprotéger. Le suspect ne doit rien remarquer : aucun sondage, aucun contact.",
	method:       "Méthode",
	how: byKind{
		takedown.Controller: "Les connexions sortantes des appareils vraisemblablement compromis sont comparées à celles\n" +
			"d'appareils semblables qui ne le sont pas, par un test exact au sein de chaque modèle et micrologiciel,\n" +
			"corrigé du nombre de destinations observées ; la chronologie et la régularité classent le reste.",
		takedown.BruteForce: "Les échecs de connexion sont lus dans les journaux des appareils et comptés sur l'ensemble du parc.",
		takedown.CompromisedServer: "Les connexions sortantes et les échecs de connexion des appareils du parc sont comparés : le serveur\n" +
			"a été contacté par des appareils compromis avant leurs premières attaques, ou a lui-même attaqué.",
	},
	fleet: "Parc", devices: "Appareils", covered: "Avec télémétrie complète", attacked: "Attaqués", compromised: "Compromis (confirmés ou suspectés)",
	campaign: "Campagne", sources: "Sources connues", size: "Sources estimées (intervalle à 95 %)",
	victims: "Victimes", withheld: "Victimes non nommées ici", items: "Preuves conservées", accounts: "Comptes par défaut essayés", log: "Journal",
	labelled: "Dont appareils vraisemblablement compromis", strata: "Modèles et micrologiciels parmi ceux-ci", score: "Score", q: "Taux d'erreur corrigé (q)",
}
