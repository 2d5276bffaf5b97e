// What each number of a candidate means, and what it adds to the score
// (docs/controllers.md).

import { number } from '../../lib/format'
import { words } from '../../lib/lang.svelte'
import { p } from '../../lib/reason'
import type { Candidate } from '../../incident/types'

export const t = words({
  prevalence: ['Prevalence', 'Prévalence'],
  prevalenceHelp: [
    'More compromised devices contacted it than chance explains: p that random labels, as many in each kind of device, find as many in contact.',
    'Plus d’appareils compromis l’ont contactée que le hasard ne l’explique : p que des étiquettes au hasard, autant par genre d’appareil, en trouvent autant en contact.',
  ],
  precedence: ['Precedence', 'Antériorité'],
  precedenceHelp: [
    'They were in contact before they attacked: p that as many were in the 6 hours before the first attack as in the same hours of other days.',
    'Ils étaient en contact avant d’attaquer : p qu’autant l’aient été dans les 6 heures avant la première attaque que dans les mêmes heures d’autres jours.',
  ],
  regularity: ['Regularity', 'Régularité'],
  regularityHelp: [
    'They call it at even intervals, and the others do not: the median beacon score of the compromised devices in contact, less that of all others.',
    'Ils l’appellent à intervalles égaux, et les autres non : le score médian de régularité des appareils compromis en contact, moins celui de tous les autres.',
  ],
  rarity: ['Rarity', 'Rareté'],
  rarityHelp: ['Few devices contact it at all: 1 − ln(1 + devices in contact) / ln(1 + devices).', 'Peu d’appareils la contactent : 1 − ln(1 + appareils en contact) / ln(1 + appareils).'],
  voteNone: ['no vote: it could have spoken, and did not', 'pas de voix : elle aurait pu parler, et ne l’a pas fait'],
  votePart: ['votes by {n}%: too few devices to know', 'compte pour {n} % : trop peu d’appareils pour savoir'],
  voteFull: ['full vote', 'voix entière'],
  voteFollows: ['follows prevalence', 'suit la prévalence'],
  met: ['{n} of {all}', '{n} sur {all}'],
})

export interface Feature {
  key: string
  name: string
  help: string
  value: string
  vote: string
  adds: number // to the score
  most: number
}

const vote = (g: number) => (g === 0 ? t('voteNone') : g < 1 ? t('votePart', { n: Math.round(100 * g) }) : t('voteFull'))
const speaks = (x: number, most: number) => Math.min(-Math.log10(Math.max(x, 1e-300)), most) / most

export function features(c: Candidate): Feature[] {
  const [a, b, r] = c.gates
  return [
    { key: 'prevalence', name: t('prevalence'), help: t('prevalenceHelp'), value: 'p = ' + p(c.p_prevalence), vote: vote(a), adds: a * 0.45 * speaks(c.p_prevalence, 30), most: 0.45 },
    { key: 'precedence', name: t('precedence'), help: t('precedenceHelp'), value: `p = ${p(c.p_precedence)} (${t('met', { n: c.before, all: c.timed })})`, vote: vote(b), adds: b * 0.25 * speaks(c.p_precedence, 6), most: 0.25 },
    { key: 'regularity', name: t('regularity'), help: t('regularityHelp'), value: `${number(c.regularity, 2)} (p = ${p(c.p_regularity)})`, vote: vote(r), adds: r * 0.2 * Math.max(0, c.regularity), most: 0.2 },
    { key: 'rarity', name: t('rarity'), help: t('rarityHelp'), value: number(c.rarity, 2), vote: t('voteFollows'), adds: a * 0.1 * c.rarity, most: 0.1 },
  ]
}
