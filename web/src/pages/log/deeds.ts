// What the hub writes down of what somebody did: the summary of a route, or a sentence
// made of what was asked for. A test of package api holds that no route is missing.

import { lang } from '../../lib/lang.svelte'
import { inFrench, type Sentence } from '../../lib/reason'

const summaries: Record<string, string> = {
  'Change a device': 'modifier un appareil',
  'Throw a device out for ever, at once': 'exclure un appareil pour toujours, aussitôt',
  'Make an enrolment token': 'créer un jeton d’inscription',
  'Block, unblock, allow, or take that back': 'bloquer, débloquer, autoriser, ou revenir dessus',
  'Sign in with a password': 'se connecter avec un mot de passe',
  'Sign out': 'se déconnecter',
  'Sign out everywhere': 'se déconnecter partout',
  'Take another password': 'changer de mot de passe',
  'Spend a one-time link: choose a password and be signed in': 'utiliser un lien à usage unique : choisir un mot de passe et se connecter',
  'Let a person sign in': 'permettre à une personne de se connecter',
  'Change what a user may do, or switch a user off or on': 'changer les droits d’un utilisateur, ou le désactiver ou réactiver',
  'Remove a user': 'retirer un utilisateur',
  'Sign a user out everywhere': 'déconnecter un utilisateur partout',
  'Make a one-time link with which a user takes another password': 'créer un lien à usage unique pour changer de mot de passe',
  'Make an API token': 'créer un jeton d’API',
  'End an API token': 'retirer un jeton d’API',
  'Make ten one-time passes, in place of those not used': 'créer dix laissez-passer à usage unique, à la place de ceux non utilisés',
  'Replace it: start, end, number, name a line': 'remplacer la table des réseaux',
  "Change the hub's keys, or make the request that keys of other machines must sign": 'changer les clés du hub, ou faire la demande que les clés d’autres machines doivent signer',
  'Copy all that the hub keeps': 'copier tout ce que garde le hub',
  "Close a device's evidence as harmless, until there is more": 'juger les preuves d’un appareil inoffensives, jusqu’à nouvel indice',
  'Agree to exactly one text': 'approuver un texte',
  'Open a case as a draft': 'ouvrir un dossier en brouillon',
  'Write the mail from what is known now': 'rédiger la lettre d’après ce qui est connu',
  'Agree to exactly one mail': 'approuver une lettre',
  'Send the mail that was approved': 'envoyer la lettre approuvée',
  'Note, close, reject, acknowledge, escalate': 'noter, clore, abandonner, noter une réponse, relancer',
  'Note a letter that came back with its case': 'joindre une lettre revenue à son dossier',
  'Hand in a conn.log of Zeek, TSV or JSON': 'remettre un conn.log de Zeek, en TSV ou JSON',
  'Send a test to every recipient': 'envoyer un test à tous les destinataires',
  'Block or allow what a list names, one address or prefix a line': 'bloquer ou autoriser ce que nomme une liste',
  'Change the policy': 'changer la politique',
  'Try another policy on the last days': 'essayer une autre politique sur les derniers jours',
  "Go back to the value of the hub's file": 'revenir à la valeur du fichier du hub',
  'Pause a demo, or begin it anew': 'mettre la démo en pause, ou la recommencer',
}
// In the log a summary begins in lower case, and names what it is about.
const known = new Map(Object.entries(summaries).map(([en, fr]) => [en[0].toLowerCase() + en.slice(1), fr]))

const verbs: Record<string, string> = { block: 'bloquer', unblock: 'débloquer', allow: 'autoriser', 'end block': 'retirer le blocage de', 'end allow': 'retirer l’autorisation de' }
// order says an order: a verb, a prefix, whose devices, how long, how urgent, and a note.
const order = (text: string) =>
  text.replace(/^(block|unblock|allow|end block|end allow)( [\da-f.:/]+)?(?: at (.*?))?(?: for ([\dhms]+))?( at once everywhere)?(: .*)?$/s, (_, verb: string, prefix = '', owner?: string, span?: string, urgent?: string, note = '') =>
    verbs[verb] + prefix + (owner ? ` chez ${owner}` : '') + (span ? ` pour ${span}` : '') + (urgent ? ' partout aussitôt' : '') + note.replace(': ', ' : '))
const changes: [RegExp, string][] = [[/, name /, ', nom '], [/, groups /, ', groupes '], [/, labels/, ', étiquettes'], [/, not suspect$/, ', non suspect']]
const roles: Record<string, string> = { viewer: 'lecteur', analyst: 'analyste', admin: 'administrateur' }
const role = (r: string) => roles[r] ?? r

const french: Sentence[] = [
  [/^make the link of the first account$/, () => 'créer le lien du premier compte'],
  [/^sign in$/, () => 'se connecter'],
  [/^sign in with a wrong password$/, () => 'se connecter avec un mot de passe faux'],
  [/^sign in as nobody who is known$/, () => 'se connecter sous un nom inconnu'],
  [/^change device (.*)$/s, (d) => changes.reduce((text, [of, to]) => text.replace(of, to), `modifier l’appareil ${d}`)],
  [/^make an enrolment token for a device of (.*)$/s, (o) => `créer un jeton d’inscription pour un appareil de ${o}`],
  [/^make an API token for (.*) as (\S+)$/s, (n, r) => `créer un jeton d’API pour ${n}, ${role(r)}`],
  [/^make ten one-time passes for (.*)$/s, (o) => `créer dix laissez-passer à usage unique pour ${o}`],
  [/^add user (.*) as (\S+)$/s, (n, r) => `ajouter l’utilisateur ${n}, ${role(r)}`],
  [/^change user (.*)$/s, (n) => `modifier l’utilisateur ${n}`],
  [/^check a list for (.*)$/s, (o) => `vérifier une liste : ${order(o)}`],
  [/^import a list of (\d+) bytes: (.*) \((\d+) of (\d+) lines taken\)$/s, (b, o, n, all) => `importer une liste de ${b} octets : ${order(o)} (${n} lignes prises sur ${all})`],
  [/^import a list of (\d+) bytes: (.*)$/s, (b, o) => `importer une liste de ${b} octets : ${order(o)}`],
  [/^keys: (.*)$/s, (d) => `clés : ${d}`],
  [/^open a case about (\S+): (.*)$/s, (s, w) => `ouvrir un dossier sur ${s} : ${w}`],
  [/^case (\S+): (\S+) (.*)$/s, (id, act, w) => `dossier ${id} : ${act} ${w}`],
  [/^change the policy: (.*)$/s, (p) => `changer la politique : ${p}`],
  [/^dismiss what is held against device (\S+): (.*)$/s, (d, w) => `juger inoffensif ce qui est retenu contre l’appareil ${d} : ${w}`],
  [/^steer the demo$/, () => 'piloter la démo'],
  [/^((?:block|unblock|allow|end)\b.*)$/s, order],
]

// deed says it in the reader's language, or as the hub did.
export function deed(text: string): string {
  if (lang.now !== 'fr') return text
  const at = text.lastIndexOf(': ')
  const of = known.get(text) ?? (at > 0 && known.has(text.slice(0, at)) ? `${known.get(text.slice(0, at))} : ${text.slice(at + 2)}` : undefined)
  return of ?? inFrench(french, text) ?? text
}
