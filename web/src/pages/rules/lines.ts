// What the hub says about one address, a sentence a line (quorum.Explanation).

import { lang } from '../../lib/lang.svelte'
import { decimal, inFrench, moment, reason, type Sentence } from '../../lib/reason'

const many = (n: string, one: string, more: string) => `${n} ${Number(n) > 1 ? more : one}`
const spans: Record<string, string> = { '10 minutes': '10 minutes', '24 hours': '24 heures', '7 days': '7 jours' }
const devices = (n: string) => many(n, 'appareil', 'appareils')
const owners = (n: string) => many(n, 'propriétaire', 'propriétaires')
const network = (n: string) => (n === 'an unknown network' ? 'un réseau inconnu' : n)

const french: Sentence[] = [
  [/^blocked for this owner until (\S+): (.*)$/s, (t, why) => `bloquée pour ce propriétaire jusqu’au ${moment(t)} : ${reason(why).text}`],
  [/^failures at this owner: (\d+) within 10 minutes, (\d+) within 24 hours, (\d+) within 7 days, on (\d+) devices?$/, (a, b, c, d) => `échecs chez ce propriétaire : ${a} en 10 minutes, ${b} en 24 heures, ${c} en 7 jours, sur ${devices(d)}`],
  [/^blocked for everybody until (\S+): (.*)$/s, (t, why) => `bloquée pour tout le monde jusqu’au ${moment(t)} : ${reason(why).text}`],
  [/^a honeypot of the hub saw it try to log in at (\S+)$/, (t) => `un pot de miel du hub l’a vue essayer de se connecter le ${moment(t)}`],
  [/^witnesses weigh (\S+) of (\S+) within (.+): (\d+) owners? in (\d+) networks?$/, (x, of, s, o, n) => `les témoins pèsent ${decimal(x)} sur ${decimal(of)} en ${spans[s] ?? s} : ${owners(o)} dans ${many(n, 'réseau', 'réseaux')}`],
  [
    /^witness (\S+) in (.+), trusted (\S+): evidence (\S+) within 10 minutes, (\S+) within 24 hours, (\S+) within 7 days$/,
    (w, n, x, a, b, c) => `témoin ${w} dans ${network(n)}, confiance ${decimal(x)} : indices ${decimal(a)} en 10 minutes, ${decimal(b)} en 24 heures, ${decimal(c)} en 7 jours`,
  ],
  [/^many people share this address: blocks are short$/, () => 'beaucoup de personnes partagent cette adresse : les blocages y sont courts'],
  [/^somebody got in from there within 7 days who belongs there$/, () => 'quelqu’un qui en a le droit s’y est connecté ces 7 derniers jours'],
  [/^somebody who belongs there got in at (\d+) owners?$/, (n) => `quelqu’un qui en a le droit s’est connecté chez ${owners(n)}`],
  [/^nothing is known of (\S+)$/, (p) => `rien n’est connu de ${p}`],
  [/^by policy (.+)$/, (v) => `selon la politique ${v}`],
]

export const explained = (line: string) => (lang.now === 'fr' && inFrench(french, line)) || line
