package dossier

import "github.com/tocsin-io/tocsin/takedown"

var german = words{
	title: byKind{
		takedown.Controller:        "Server steuert kompromittierte Geräte",
		takedown.BruteForce:        "Brute-Force-Angriffe",
		takedown.CompromisedServer: "Kompromittierter Server",
	},
	greeting: "Sehr geehrte Damen und Herren,",
	what: byKind{
		takedown.Controller: "gehackte Geräte verbinden sich immer wieder mit einem Server in Ihrem Netz, der sie offenbar\n" +
			"steuert.",
		takedown.BruteForce: "von einer Adresse in Ihrem Netz aus wird versucht, Passwörter fremder Geräte zu erraten.",
		takedown.CompromisedServer: "ein Server in Ihrem Netz wird missbraucht, um andere Geräte anzugreifen oder sie mit Schadsoftware\n" +
			"zu versorgen. Vermutlich wurde er selbst kompromittiert.",
	},
	askTitle: "Unsere Bitte:",
	ask: byKind{
		takedown.Controller: "Bitte nehmen Sie diesen Server vom Netz und geben Sie uns Bescheid, sobald das geschehen ist.\n" +
			"Sichern Sie nach Möglichkeit vorher ein Abbild der Festplatte und die Verbindungsdaten: Sie zeigen,\n" +
			"welche weiteren Geräte er steuert.",
		takedown.BruteForce: "Bitte sorgen Sie dafür, dass die Angriffe aufhören, und teilen Sie uns mit, was Sie unternommen\n" +
			"haben. Solche Rechner sind oft ohne Wissen des Besitzers kompromittiert; Ihr Kunde braucht womöglich Hilfe.",
		takedown.CompromisedServer: "Bitte isolieren Sie den Server, bis er bereinigt ist, und teilen Sie uns mit, was Sie unternommen\n" +
			"haben. Möglicherweise weiß Ihr Kunde noch nichts davon.",
	},
	evidence:     "Belege (Zeilen: %d; alle Zeiten in UTC, unsere Adressen auf ihr Netz gekürzt):",
	left:         "weggelassene ältere Zeilen: %d",
	answerTitle:  "So erreichen Sie uns:",
	answer:       "Antworten Sie auf diese Nachricht und lassen Sie [%s] im Betreff stehen. Ein Mensch liest sie.",
	attached:     "Dieselbe Meldung liegt maschinenlesbar bei (X-ARF v4.2).",
	passOn:       "Sie dürfen diese Meldung an Ihren Kunden weitergeben (TLP:CLEAR). Weitere Belege erhalten Sie auf\nAnfrage, eingestuft als TLP:AMBER.",
	closing:      "Mit freundlichen Grüßen",
	colon:        ":",
	address:      "Adresse",
	port:         "Port",
	domain:       "Domain",
	from:         "Zuerst beobachtet",
	to:           "Zuletzt beobachtet",
	attempts:     "Versuche",
	connections:  "Verbindungen",
	services:     "Dienste",
	networks:     "Betroffene Netze",
	confidential: "Vertraulich: für Ihre Organisation und diejenigen ihrer Kunden, die es zu ihrem Schutz wissen müssen.\nDer Verdächtige darf nichts bemerken: keine Abfragen, kein Kontakt.",
	method:       "Verfahren",
	how: byKind{
		takedown.Controller: "Ausgehende Verbindungen vermutlich kompromittierter Geräte werden mit denen vergleichbarer,\n" +
			"unauffälliger Geräte verglichen: mit einem exakten Test je Modell und Firmware, korrigiert um die Zahl\n" +
			"der beobachteten Ziele. Zeitliche Abfolge und Regelmäßigkeit ordnen, was übrig bleibt.",
		takedown.BruteForce: "Fehlgeschlagene Anmeldungen werden den Protokollen der Geräte entnommen und über die ganze Flotte\n" +
			"gezählt.",
		takedown.CompromisedServer: "Ausgehende Verbindungen und fehlgeschlagene Anmeldungen der Geräte werden verglichen: Kompromittierte\n" +
			"Geräte hatten vor ihren ersten Angriffen Kontakt mit dem Server, oder er griff selbst an.",
	},
	fleet: "Flotte", devices: "Geräte", covered: "Mit lückenlosen Daten", attacked: "Angegriffen", compromised: "Kompromittiert (bestätigt oder vermutet)",
	campaign: "Kampagne", sources: "Bekannte Quellen", size: "Geschätzte Quellen (95-%-Intervall)",
	victims: "Betroffene", withheld: "Hier nicht genannte Betroffene", items: "Gesicherte Belege", accounts: "Versuchte Standardkonten", log: "Protokoll",
	labelled: "Davon vermutlich kompromittiert", strata: "Modelle und Firmwares unter diesen", score: "Punktzahl", q: "Korrigierte Fehlerrate (q)",
}
