// The hub's words for states, kinds and steps, for people; and which of the six
// looks of a state each has.

import type { Kind } from '../parts/State.svelte'
import { lang, locale, words } from '../lib/lang.svelte'
import { reason } from '../lib/reason'

export const campaignStates = words({
  open: ['open', 'ouverte'],
  held: ['held', 'contenue'],
  ended: ['ended', 'terminée'],
  joined: ['joined to another', 'réunie à une autre'],
})
export const campaignLook: Record<string, Kind> = { open: 'bad', held: 'good', ended: 'idle', joined: 'idle' }

export const classes = words({
  controller: ['commands devices', 'commande des appareils'],
  payload: ['hands out malware', 'distribue du code malveillant'],
  target: ['is attacked', 'est attaqué'],
  other: ['something else', 'autre chose'],
})
export const classHelp = words({
  controller: [
    'Most compromised devices were in contact with it before they attacked, most regularly, and more so than others.',
    'La plupart des appareils compromis étaient en contact avec elle avant d’attaquer, régulièrement, et plus que les autres.',
  ],
  payload: ['Most compromised devices fetched 64 KiB or more from it once, before they attacked.', 'La plupart des appareils compromis y ont pris 64 Kio ou plus une seule fois, avant d’attaquer.'],
  target: [
    'Most contacted it after they attacked, in vain, among many others: it is a victim, and no case is opened about it.',
    'La plupart l’ont contactée après avoir attaqué, en vain, parmi beaucoup d’autres : c’est une victime, et aucun dossier n’est ouvert à son sujet.',
  ],
  other: ['None of the three. A controller that is met at random times is here, too.', 'Aucun des trois. Un contrôleur contacté à des moments aléatoires est ici aussi.'],
})
export const classLook: Record<string, Kind> = { controller: 'bad', payload: 'warn', target: 'idle', other: 'unknown' }

export const compromiseStates = words({
  confirmed: ['entered', 'pénétré'],
  suspected: ['suspected', 'suspect'],
  'near-miss': ['attacked, not entered', 'attaqué, non pénétré'],
  clean: ['not attacked', 'non attaqué'],
  unknown: ['unknown', 'inconnu'],
  'false-positive': ['held harmless', 'jugé inoffensif'],
})
export const compromiseHelp = words({
  confirmed: ['Somebody was let in, and something stayed behind or reached out.', 'Quelqu’un est entré, et quelque chose est resté ou a contacté l’extérieur.'],
  suspected: ['One of the two, or a canary was touched.', 'L’un des deux, ou un leurre a été touché.'],
  'near-miss': ['Attacked, nothing of that, and everything was seen.', 'Attaqué, rien de tel, et tout a été vu.'],
  clean: ['Not attacked, nothing of that, and everything was seen.', 'Non attaqué, rien de tel, et tout a été vu.'],
  unknown: ['Not everything was seen: never counted as clean.', 'Tout n’a pas été vu : jamais compté comme sain.'],
  'false-positive': ['A person held the evidence harmless, and nothing new came since.', 'Une personne a jugé les indices inoffensifs, et rien de nouveau n’est venu depuis.'],
})
export const compromiseLook: Record<string, Kind> = {
  confirmed: 'bad', suspected: 'warn', 'near-miss': 'good', clean: 'good', unknown: 'unknown', 'false-positive': 'idle',
}
export const states = ['confirmed', 'suspected', 'near-miss', 'clean', 'unknown', 'false-positive']

export const kinds = words({
  controller: ['controller', 'contrôleur'],
  'brute-force': ['guesses passwords', 'devine des mots de passe'],
  'compromised-server': ['misused server', 'serveur détourné'],
})

export const caseStates = words({
  draft: ['draft', 'brouillon'],
  approved: ['approved', 'approuvé'],
  sent: ['sent', 'envoyé'],
  delivered: ['arrived', 'arrivé'],
  bounced: ['came back', 'revenu'],
  acknowledged: ['answered', 'répondu'],
  action: ['provider acted', 'l’hébergeur a agi'],
  'verified-down': ['verified down', 'arrêt vérifié'],
  closed: ['closed', 'clos'],
  rejected: ['given up', 'abandonné'],
  reopened: ['reopened', 'rouvert'],
})
export const caseLook: Record<string, Kind> = {
  draft: 'warn', approved: 'busy', sent: 'busy', delivered: 'busy', bounced: 'bad', acknowledged: 'busy', action: 'busy',
  'verified-down': 'good', closed: 'good', rejected: 'idle', reopened: 'warn',
}

export const acts = words({
  open: ['opened', 'ouvert'],
  approve: ['approved a letter', 'a approuvé une lettre'],
  send: ['sent the letter', 'a envoyé la lettre'],
  deliver: ['heard that the letter arrived', 'a appris que la lettre est arrivée'],
  bounce: ['heard that the letter came back', 'a appris que la lettre est revenue'],
  acknowledge: ['heard from the provider', 'a reçu une réponse de l’hébergeur'],
  action: ['heard that the provider acted', 'a appris que l’hébergeur a agi'],
  'verify-down': ['saw no contact any more', 'n’a plus vu de contact'],
  close: ['closed the case', 'a clos le dossier'],
  reject: ['gave the case up', 'a abandonné le dossier'],
  reopen: ['saw contact again', 'a de nouveau vu un contact'],
  note: ['noted', 'a noté'],
  escalate: ['escalated', 'a fait une relance'],
})

export const steps = words({
  'second-channel': ['another way to the same provider', 'un autre moyen de joindre le même hébergeur'],
  upstream: ['the network that connects the provider', 'le réseau qui relie l’hébergeur'],
  'national-cert': ['the CERT of the provider’s country', 'le CERT du pays de l’hébergeur'],
  registrar: ['the registrar of the domain', 'le bureau d’enregistrement du domaine'],
  benchmark: ['say that the 48 hours were missed', 'dire que les 48 heures sont dépassées'],
})

export const verdicts = words({
  'not sent': ['not sent yet', 'pas encore envoyé'],
  pending: ['running', 'en cours'],
  met: ['met', 'tenu'],
  missed: ['missed', 'dépassé'],
})

export const evidence = words({
  'let in after failures': ['let in after failures', 'admis après des échecs'],
  'let in although blocked': ['let in although blocked', 'admis bien que bloqué'],
  'let in from a source of a campaign': ['let in from a source of a campaign', 'admis depuis une source d’une campagne'],
  'let in from a new country and network': ['let in from a new country and network', 'admis depuis un nouveau pays et un nouveau réseau'],
  'keys that may log in changed': ['keys that may log in changed', 'clés de connexion modifiées'],
  'account added': ['account added', 'compte ajouté'],
  'autorun entry added': ['autorun entry added', 'démarrage automatique ajouté'],
  'package not from the vendor': ['package not from the vendor', 'logiciel étranger au fabricant'],
  'scans others': ['scans others', 'sonde d’autres machines'],
  'contact with a controller': ['contact with a controller', 'contact avec un contrôleur'],
  'contact with a mining pool': ['contact with a mining pool', 'contact avec un pool de minage'],
  'new listening port': ['new listening port', 'nouveau port à l’écoute'],
  'firewall or logging switched off': ['firewall or logging switched off', 'pare-feu ou journaux désactivés'],
  'log lines missing': ['log lines missing', 'lignes de journal manquantes'],
  'tripwire hit': ['tripwire hit', 'leurre touché'],
})
export const groups = words({
  access: ['somebody was let in', 'quelqu’un est entré'],
  persistence: ['something stays behind', 'quelque chose est resté'],
  network: ['what the device opens', 'ce que l’appareil ouvre'],
  host: ['what else changed', 'autres changements'],
})
export const holes = words({
  'never heard of': ['never heard of', 'jamais entendu'],
  silent: ['silent', 'silencieux'],
  'logs not read': ['logs not read', 'journaux non lus'],
  'log lines missing': ['log lines missing', 'lignes de journal manquantes'],
  'firewall or logging switched off': ['firewall or logging switched off', 'pare-feu ou journaux désactivés'],
})

// why says what the state of a device rests on: the hub lists kinds of evidence.
export function why(a: { state: string; why?: string }): string {
  const text = a.why ?? ''
  if (a.state === 'unknown') return holes.or(text) === text ? reason(text).text : holes.or(text)
  return a.state === 'confirmed' || a.state === 'suspected' ? text.split(', ').map((w) => evidence.or(w)).join(', ') : reason(text).text
}

export const protocols: Record<number, string> = { 6: 'TCP', 17: 'UDP' }

// destination names a candidate as tables are narrowed to it.
export const destination = (c: { address: string; port: number; protocol?: number }) =>
  `${c.address.includes(':') ? `[${c.address}]` : c.address}:${c.port}${c.protocol === 17 ? '/udp' : ''}`

// languages that letters are written in.
export const languageNames = words({ en: ['English', 'anglais'], fr: ['French', 'français'], de: ['German', 'allemand'] })

// country names a country by its two letters.
export function country(code: string): string {
  // Of those that begin with X, ISO gives out none but XK is in use; browsers call some of the
  // others by names of their own.
  if (!/^[A-Z]{2}$/.test(code) || (code[0] === 'X' && code !== 'XK')) return code
  try {
    return new Intl.DisplayNames(locale(), { type: 'region' }).of(code) ?? code
  } catch {
    return code
  }
}

export const list = (items: string[]) => new Intl.ListFormat(lang.now, { type: 'conjunction' }).format(items)
