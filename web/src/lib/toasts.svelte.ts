// Short messages that need no answer, and how an error is told.

import { Refused } from './api'
import { lang, words } from './lang.svelte'
import { refusal, type Told } from './refusal'

const t = words({
  silent: ['The hub does not answer. Look whether it runs, and try again.', 'Le hub ne répond pas. Vérifiez qu’il fonctionne, puis réessayez.'],
  wait: ['(in {s} {s#second|seconds})', '(dans {s} {s#seconde|secondes})'],
  broken: ['The console could not do that: {text}', 'La console n’a pas pu le faire :'],
})

export interface Toast extends Told {
  id: number
  kind: 'good' | 'bad'
}

export const toasts = $state<Toast[]>([])
let next = 1

export function drop(id: number) {
  const i = toasts.findIndex((x) => x.id === id)
  if (i >= 0) toasts.splice(i, 1)
}

export function say(what: string | Told, kind: Toast['kind'] = 'good') {
  const id = next++
  toasts.push({ ...(typeof what === 'string' ? { text: what } : what), id, kind })
  if (toasts.length > 4) toasts.shift()
  // Bad news stays until it is closed.
  if (kind === 'good') setTimeout(() => drop(id), 8000)
}

// told writes an error for people.
export function told(e: unknown): Told {
  if (e instanceof Refused) {
    if (e.status === 0) return { text: t('silent') }
    if (e.status === 1) return { text: e.message }
    const r = refusal(e.message, e.status)
    return e.after ? { ...r, text: r.english ? r.text : r.text + ' ' + t('wait', { s: e.after }) } : r
  }
  const text = e instanceof Error ? e.message : String(e)
  return lang.now === 'fr' ? { text: t('broken'), english: text } : { text: t('broken', { text }) }
}

// attempt does something and says what went wrong, if anything did.
export async function attempt<T>(f: () => Promise<T>, done?: string): Promise<T | undefined> {
  try {
    const v = await f()
    if (done) say(done)
    return v ?? (true as T)
  } catch (e) {
    say(told(e), 'bad')
    return undefined
  }
}
