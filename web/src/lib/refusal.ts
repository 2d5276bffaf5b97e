// What the hub refuses is an English sentence. Those that people meet are said in
// French; before any other a French one says what kind of refusal it is.

import { lang } from './lang.svelte'
import { inFrench, type Sentence } from './reason'

const kinds: Record<number, string> = {
  400: 'La demande n’est pas valable',
  401: 'Il faut s’identifier',
  403: 'Ce n’est pas permis',
  404: 'Cela n’existe pas ici',
  409: 'Ce n’est pas possible en l’état',
  410: 'Cela n’est plus valable',
  413: 'C’est trop volumineux',
  415: 'Ce format n’est pas accepté',
  421: 'Ce n’est pas la bonne adresse',
  422: 'La demande n’est pas valable',
  429: 'Trop de demandes',
  502: 'Un autre serveur n’a pas accepté',
  503: 'Le hub ne peut pas répondre maintenant',
  507: 'Le hub n’a plus de place',
}
const kindOf = (status: number) => kinds[status] ?? (status >= 500 ? 'Le hub n’a pas pu le faire' : 'Le hub a refusé')

const sentences: Sentence[] = [
  [/^the name or the password is wrong$/, () => 'le nom ou le mot de passe est faux'],
  [/^the session has ended: sign in again$/, () => 'la session est terminée : reconnectez-vous'],
  [/^this user is switched off: ask an admin$/, () => 'cet utilisateur est désactivé : demandez à un administrateur'],
  [/^this is the last admin who can sign in: make another one first$/, () => 'c’est le dernier administrateur qui peut se connecter : créez-en d’abord un autre'],
  [/^old: this is not your password$/, () => 'ce n’est pas votre mot de passe actuel'],
  [/^too many wrong tries from there: wait .*$/, () => 'trop d’essais faux depuis cet endroit : attendez'],
  [/^another try from there is under way: wait .*$/, () => 'un autre essai depuis cet endroit est en cours : attendez'],
  [/^too many people sign in at this moment: wait .*$/, () => 'trop de personnes se connectent en ce moment : attendez'],
  [/^this link was used, replaced, or is too old: ask an admin for another .*$/, () => 'ce lien a servi, a été remplacé ou est trop vieux : demandez-en un autre à un administrateur (tocsin users reset NOM)'],
  [/^name: want 1 to (\d+) letters and digits$/, (n) => `nom : de 1 à ${n} lettres et chiffres`],
  [/^name: want letters, digits and \. - _ @, a letter or digit first$/, () => 'nom : des lettres, des chiffres et . - _ @, une lettre ou un chiffre d’abord'],
  [/^password: want at least (\d+) characters: .*$/, (n) => `mot de passe : au moins ${n} caractères ; quelques mots sans rapport entre eux conviennent`],
  [/^password: want at most (\d+) bytes$/, (n) => `mot de passe : au plus ${n} octets`],
  [/^password: it repeats itself: .*$/, () => 'mot de passe : il se répète ; il faut plus de trois caractères différents'],
  [/^password: it is a name or a word that everybody tries first: .*$/, () => 'mot de passe : c’est un nom ou un mot que tout le monde essaie d’abord ; prenez-en un autre'],
  [/^password: everybody tries keys in a row: .*$/, () => 'mot de passe : tout le monde essaie des touches voisines ; prenez-en un autre'],
  [/^there is a user of that name: .*$/, () => 'un utilisateur porte déjà ce nom : prenez-en un autre, ou faites un nouveau lien avec tocsin users reset'],
  [/^there is an API token of that name: .*$/, () => 'un jeton d’API porte déjà ce nom : retirez-le d’abord, ou prenez un autre nom'],
  [/^(?:name|owner|note): want at most (\d+) printable bytes.*$/, (n) => `texte trop long ou illisible : au plus ${n} octets imprimables`],
  [/^it is there already: take another name$/, () => 'ce nom est déjà pris : prenez-en un autre'],
  [/^somebody changed it meanwhile: read it again$/, () => 'quelqu’un l’a modifié entre-temps : relisez-le'],
  [/^used before, or too old: make a new one$/, () => 'déjà utilisé, ou trop vieux : faites-en un nouveau'],
  [/^not found: look at its name again$/, () => 'introuvable : vérifiez son nom'],
  [/^no device of that ID: .*$/, () => 'aucun appareil n’a cet identifiant'],
  [/^this hub does not serve it$/, () => 'ce hub ne l’offre pas'],
  [/^the hub took too long: try again later$/, () => 'le hub a mis trop de temps : réessayez plus tard'],
  [/^the hub could not do it: look into its log$/, () => 'le hub n’a pas pu le faire : regardez dans son journal'],
  [/^(.*) may not: it takes the role of (\S+)$/s, (who, role) => `il faut le rôle ${roles[role] ?? role}, que ${who} n’a pas`],
  [/^address: want one, such as (\S+)$/, (a) => `il faut une adresse, comme ${a}`],
  [/^prefix: want a masked one, such as (\S+) or (\S+)$/, (a, b) => `il faut un préfixe dont le reste est nul, comme ${a} ou ${b}`],
  [/^case (\S+) is about that already: .*$/, (id) => `le dossier ${id} en traite déjà`],
  [/^the log is being read for somebody else who tries or saves a policy: .*$/, () => 'le journal est lu pour quelqu’un qui essaie ou enregistre une politique : attendez que ce soit fini'],
  [/^nobody is notified: .*$/, () => 'personne n’est prévenu : ajoutez un [[notify]] à la configuration du hub'],
  [/^no mail server is configured: .*$/, () => 'aucun serveur de courrier n’est configuré : réglez [mail] dans la configuration du hub, ou envoyez la lettre vous-même et dites-le'],
  [/^(?:line \d+: )?(\S+): write a whole number$/, (k) => `pour ${k}, écrivez un nombre entier`],
  [/^(?:line \d+: )?(\S+): write a time such as (.*)$/, (k, t) => `pour ${k}, écrivez une durée comme ${t.replace(/ or (\S+)$/, ' ou $1')}`],
  [/^(?:line \d+: )?(\S+): (\S+) is not between (\S+) and (\S+)$/, (k, n, a, b) => `pour ${k}, ${n} n’est pas entre ${a} et ${b}`],
  // Why a line of a list was not taken.
  [/^neither an address nor a prefix such as (\S+)$/, (p) => `ni une adresse, ni un préfixe comme ${p}`],
  [/^an address of one network only: leave out what begins with %$/, () => 'adresse d’un seul réseau : enlevez ce qui commence par %'],
  [/^covers more than IPv4: write it as IPv4$/, () => 'couvre plus qu’IPv4 : écrivez-le en IPv4'],
  [/^names one address and a whole network: write (\S+) if you mean all of it$/, (p) => `désigne une adresse et tout un réseau : écrivez ${p} si c’est tout le réseau`],
  [/^no effect: the allowlist or a pass covers it, or too many rules are in force$/, () => 'sans effet : la liste d’autorisation ou un laissez-passer la couvre, ou trop de règles sont en vigueur'],
  [/^no effect: too many passes are in force$/, () => 'sans effet : trop de passages sont en vigueur'],
]
const roles: Record<string, string> = { viewer: 'de lecteur', analyst: 'd’analyste', admin: 'd’administrateur' }

// A Told is a sentence for people. What follows it in English is the hub's own.
export interface Told {
  text: string
  english?: string
}

const sentence = (s: string) => s[0].toUpperCase() + s.slice(1) + (/[.!?)]$/.test(s) ? '' : '.')

// refusal tells what the hub refused with a status; 0 is a line by itself.
export function refusal(text: string, status = 0): Told {
  if (lang.now !== 'fr' || !text) return { text }
  const known = inFrench(sentences, text)
  if (known) return { text: status ? sentence(known) : known }
  return status ? { text: kindOf(status) + ' :', english: text } : { text: '', english: text }
}
