// Words in English and French. A page keeps its own words next to it, so that they
// load with it; a key that is missing in one language does not compile.

export type Lang = 'en' | 'fr'
export type Args = Record<string, string | number>
type Pair = readonly [en: string, fr: string]

function remembered(): Lang {
  const kept = localStorage.getItem('tocsin.lang')
  if (kept === 'en' || kept === 'fr') return kept
  for (const l of navigator.languages) {
    if (l.startsWith('fr')) return 'fr'
    if (l.startsWith('en')) return 'en'
  }
  return 'en'
}

export const lang = $state({ now: remembered() })

export function speak(l: Lang) {
  lang.now = l
  localStorage.setItem('tocsin.lang', l)
}

// locale is what Intl is asked for: the browser's own variety of the language.
export function locale(): string {
  return navigator.languages.find((l) => l.startsWith(lang.now)) ?? (lang.now === 'fr' ? 'fr-FR' : 'en-GB')
}

const plurals: Record<Lang, Intl.PluralRules> = { en: new Intl.PluralRules('en'), fr: new Intl.PluralRules('fr') }

// fill puts args into text: {name}, and {n#device|devices} for what n counts.
// Numbers are written as the language does.
function fill(text: string, args?: Args): string {
  if (!args) return text
  return text.replace(/\{(\w+)(?:#([^|}]*)\|([^}]*))?\}/g, (all, name: string, one?: string, many?: string) => {
    const v = args[name]
    if (v === undefined) return all
    if (one !== undefined) return plurals[lang.now].select(Number(v)) === 'one' ? one : many!
    return typeof v === 'number' ? new Intl.NumberFormat(locale()).format(v) : v
  })
}

// A piece of a text; name is the argument that it counts, with the noun behind it.
export interface Piece {
  text: string
  name?: string
}

// split cuts text where it counts, so that each number can be a link.
function split(text: string, args: Args): Piece[] {
  const pieces: Piece[] = []
  let end = 0
  for (const m of text.matchAll(/\{(\w+)\}(?:[ \u00a0]\{\1#[^}]*\})?/g)) {
    if (m.index > end) pieces.push({ text: fill(text.slice(end, m.index), args) })
    pieces.push({ text: fill(m[0], args), name: m[1] })
    end = m.index + m[0].length
  }
  if (end < text.length) pieces.push({ text: fill(text.slice(end), args) })
  return pieces
}

export interface Words<K extends string> {
  (key: K, args?: Args): string
  pieces(key: K, args: Args): Piece[]
  // or returns the word for what the hub calls key, or key itself if there is none.
  or(key: string): string
}

// words makes a dictionary out of pairs of English and French.
export function words<const W extends Record<string, Pair>>(w: W): Words<Extract<keyof W, string>> {
  const side = () => (lang.now === 'fr' ? 1 : 0)
  const t = (key: Extract<keyof W, string>, args?: Args) => fill(w[key][side()], args)
  t.pieces = (key: Extract<keyof W, string>, args: Args) => split(w[key][side()], args)
  t.or = (key: string) => (Object.hasOwn(w, key) ? w[key][side()] : key)
  return t
}
