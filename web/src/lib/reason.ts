// The hub gives its reasons as English sentences. Those that are known are said in
// the reader's language, and the weight that some of them carry is taken apart.
// What is not known stays as the hub said it.

import { date, day, time } from './format'
import { lang, locale } from './lang.svelte'

export interface Reason {
  text: string
  nats?: number // weight of this evidence
  need?: number // what it takes in all
}

const weighed = /^(.*) \((-?[\d.]+) of ([\d.]+) nats\)$/s

const where = (n: string) => `${n} appareil${Number(n) > 1 ? 's' : ''}`
const spans: Record<string, string> = { second: 'seconde', minute: 'minute', hour: 'heure', day: 'jour' }
const span = (n: string, unit: string) => `${n} ${spans[unit] ?? unit}${Number(n) > 1 ? 's' : ''}`
const names = (list: string) => list.replace(/ and (\d+) others?/, ' et $1 autres').replace(/ and /, ' et ').replace(/^(\d+) accounts?$/, '$1 comptes')

// A Sentence of the hub, and what it is in French.
export type Sentence = [RegExp, (...m: string[]) => string]

// inFrench says text by the first of the sentences that it is, if it is one.
export function inFrench(list: Sentence[], text: string): string | undefined {
  for (const [of, to] of list) {
    const m = of.exec(text)
    if (m) return to(...m.slice(1).map((s) => s ?? ''))
  }
  return undefined
}

// moment writes a time as the hub's sentences hold it, and decimal a number.
export function moment(text: string): string {
  const d = date(text)
  return d ? `${day(d)} à ${time(d)}` : text
}
export const decimal = (x: string) => x.replace('.', ',')

const key = (what: string) => (what === 'root' ? 'la racine du hub' : 'la clé de signature du hub')
const onDay = (text: string) => day(date(text) ?? new Date(text))
const mend = (how: string) => how.replace(/, then sign the request with (\d+) of the offline keys, then /, ', puis signez la demande avec $1 des clés hors ligne, puis ')

const french: Sentence[] = [
  [/^the hub's (signing key|root) ended (\S+): devices accept no new rules: (.*)$/, (what, at, how) => `${key(what)} a expiré le ${onDay(at)} : les appareils n’acceptent plus de nouvelles règles : ${mend(how)}`],
  [/^the hub's (signing key|root) ends (\S+), then devices accept no new rules: (.*)$/, (what, at, how) => `${key(what)} expire le ${onDay(at)}, et les appareils n’accepteront plus de nouvelles règles : ${mend(how)}`],
  [/^the root key lies on the hub: .*$/, () => 'la clé racine est sur le hub : qui lit son dossier peut signer pour lui à jamais, et chaque appareil devrait alors être inscrit de nouveau ; tocsin keys offline la met sur d’autres machines'],
  [/^a device of yours blocked it$/, () => 'un de vos appareils l’a bloquée'],
  [/^(\d+) guesses within 7 days on (\d+) devices?$/, (n, d) => `${n} essais en 7 jours sur ${where(d)}`],
  [/^(\d+) guesses within 7 days on (\d+) devices?, of a source that acts with others$/, (n, d) => `${n} essais en 7 jours sur ${where(d)}, d’une source qui agit avec d’autres`],
  [/^(\d+) failures within 10 minutes on (\d+) devices?$/, (n, d) => `${n} échecs en 10 minutes sur ${where(d)}`],
  [/^(\d+) failures within a day on (\d+) devices?$/, (n, d) => `${n} échecs en un jour sur ${where(d)}`],
  [/^(\d+) failures on one account, on (\d+) devices?$/, (n, d) => `${n} échecs sur un compte, sur ${where(d)}`],
  [/^(\d+) failures on accounts of several people, on (\d+) devices?$/, (n, d) => `${n} échecs sur les comptes de plusieurs personnes, sur ${where(d)}`],
  [/^blocked before, and still trying$/, () => 'bloquée auparavant, et essaie encore'],
  [/^(tried to log in at a honeypot, and )?witnessed by (\d+) owners? in (\d+) networks?$/, (h, o, n) => `${h ? 'a essayé de se connecter à un leurre ; ' : ''}vue par ${o} propriétaire${Number(o) > 1 ? 's' : ''} dans ${n} réseau${Number(n) > 1 ? 'x' : ''}`],
  [/^somebody got in from there who belongs there$/, () => 'quelqu’un qui en a le droit s’y est connecté'],
  [/^one-time pass$/, () => 'laissez-passer à usage unique'],
  [/^(\d+) connections without a log-in within (\d+) (\w+?)s?( \(.*\))?$/s, (n, k, u, s) => `${n} connexions sans identification en ${span(k, u)}${s}`],
  [/^(\d+) failures within (\d+) (\w+?)s?(?:: (.*?))?( \(\S+\))?$/s, (n, k, u, a, s) => `${n} échecs en ${span(k, u)}${a ? ` : ${names(a)}` : ''}${s}`],
  [/^tried (.*), an account that nobody honest uses( \(\S+\))?$/s, (a, s) => `a essayé ${a}, un compte qu’aucune personne honnête n’emploie${s}`],
  [/^tried (.*) within (\d+) (\w+?)s?( \(\S+\))?$/s, (a, k, u, s) => `a essayé ${names(a)} en ${span(k, u)}${s}`],
  [/^tried accounts in the same order as (\S+?)(?:: (.*))?$/s, (a, names) => `a essayé des comptes dans le même ordre que ${a}${names ? ` : ${names}` : ''}`],
  [/^its client looks like that of (.*)$/s, (a) => `son client ressemble à celui de ${a}`],
  [/^tried devices that few try, as (.*) did$/s, (a) => `a essayé des appareils que peu essaient, comme ${a}`],
  [/^active in the same five minutes as (.*), more often than chance$/s, (a) => `active dans les mêmes cinq minutes que ${a}, plus souvent que par hasard`],
  [/^in the same network as (.*)$/s, (a) => `dans le même réseau que ${a}`],
  [/^agrees with (\d+) members$/, (n) => `concorde avec ${n} membres`],
  [/^no two kinds of evidence join it to others$/, () => 'aucun couple d’indices ne la relie à d’autres'],
  [/^one attempt in all$/, () => 'une seule tentative en tout'],
  [/^contacted by (\d+) of (\d+) compromised devices and (\d+) of (\d+) others \(p (.*)\)$/, (a, b, c, d, p) => `contactée par ${a} des ${b} appareils compromis et ${c} des ${d} autres (p ${decimal(p)})`],
  [/^no first attack is known: that contacts came before it says nothing$/, () => 'aucune première attaque n’est connue : que les contacts la précèdent ne dit rien'],
  [/^in contact before the first attack: (\d+) of (\d+) \(p (.*?)\)(.*)$/, (a, b, p, v) => `en contact avant la première attaque : ${a} sur ${b} (p ${decimal(p)})${vote(v)}`],
  [/^regularity (\S+) more than others \(p (.*?)\)(.*)$/, (r, p, v) => `régularité supérieure de ${decimal(r)} à celle des autres (p ${decimal(p)})${vote(v)}`],
  [/^attacked by (\d+) sources, nobody was let in$/, (n) => `attaqué par ${n} sources, personne n’est entré`],
  [/^not attacked, and everything was seen$/, () => 'non attaqué, et tout a été vu'],
  [/^telemetry missing$/, () => 'télémétrie manquante'],
  [/^closed by (.*?): (.*)$/s, (a, b) => `clos par ${a} : ${b}`],
  [/^(\S+) became part of it: (.*)$/s, (a, b) => `${a} en fait partie : ${b}`],
  [/^a part of it split off as (\S+)$/, (a) => `une partie s’en est détachée : ${a}`],
  [/^(\S+) acts apart from it now$/, (a) => `${a} agit à part désormais`],
  [/^(\S+) is welcome: an operator said so$/, (a) => `${a} est bienvenue : une personne l’a dit`],
  [/^failures at (.*) rose beyond what people mistype, since (\S+): nobody is attributed yet$/s, (a, t) => `les échecs sur ${a} dépassent les fautes de frappe depuis le ${moment(t)} : personne n’est encore attribué`],
  [/^(\d+) sources act together, since (\S+)$/, (n, t) => `${n} sources agissent ensemble depuis le ${moment(t)}`],
  [/^nothing was seen of it since (\S+), dropped packets included$/, (t) => `plus rien n’en est vu depuis le ${moment(t)}, paquets rejetés compris`],
  [/^its sources still knock, and are dropped$/, () => 'ses sources frappent encore et sont rejetées'],
  [/^attempts go on$/, () => 'les tentatives continuent'],
  [/^its sources are back$/, () => 'ses sources sont revenues'],
  [/^became part of (\S+): (.*)$/s, (a, b) => `fait maintenant partie de ${a} : ${b}`],
  [/^split from (\S+): (\d+) of its sources act apart$/, (a, n) => `détachée de ${a} : ${n} de ses sources agissent à part`],
  [/^(\d+) sources attributed$/, (n) => `${n} sources attribuées`],
  [/^not enough evidence: a single device cannot be compared with others$/, () => 'pas assez d’indices : un seul appareil ne se compare à aucun autre'],
  [/^not enough evidence: no device is labelled as compromised$/, () => 'pas assez d’indices : aucun appareil n’est tenu pour compromis'],
  [/^not enough evidence: one device only is labelled as compromised; what is common to two is looked for$/, () => 'pas assez d’indices : un seul appareil est tenu pour compromis ; on cherche ce que deux ont en commun'],
  [/^not enough evidence: no contact with any external destination is known of these devices$/, () => 'pas assez d’indices : aucun contact de ces appareils avec l’extérieur n’est connu'],
  [/^not enough evidence: no external destination was contacted by two compromised devices, and by one of them before it attacked$/, () => 'pas assez d’indices : aucune destination extérieure n’a été contactée par deux appareils compromis, dont un avant d’attaquer'],
]

function vote(v: string): string {
  if (v === ': has no vote') return ' : n’a pas voix'
  const m = /^: too few to know, votes by (\d+) %$/.exec(v)
  return m ? ` : trop peu pour savoir, compte pour ${m[1]} %` : v
}

function say(text: string): string {
  return (lang.now === 'fr' && inFrench(french, text)) || text
}

export function reason(text: string): Reason {
  const m = weighed.exec(text)
  return m ? { text: say(m[1]), nats: Number(m[2]), need: Number(m[3]) } : { text: say(text) }
}

// p writes a probability that may be very small.
export function p(x: number): string {
  const plain = (v: number) => new Intl.NumberFormat(locale(), { maximumSignificantDigits: 2 }).format(v)
  if (x === 0 || Math.abs(x) >= 0.0001) return plain(x)
  const e = Math.floor(Math.log10(Math.abs(x)))
  return `${plain(x / 10 ** e)} · 10⁻${[...String(-e)].map((d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(d)]).join('')}`
}
