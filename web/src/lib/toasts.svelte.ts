// Short messages that need no answer, and how an error is told.

import { Refused } from './api'
import { words } from './lang.svelte'

const t = words({
  silent: ['The hub does not answer. Look whether it runs, and try again.', 'Le hub ne répond pas. Vérifiez qu’il fonctionne, puis réessayez.'],
  wait: ['{text} (in {s} {s#second|seconds})', '{text} (dans {s} {s#seconde|secondes})'],
  broken: ['The console could not do that: {text}', 'La console n’a pas pu le faire : {text}'],
})

export interface Toast {
  id: number
  text: string
  kind: 'good' | 'bad'
}

export const toasts = $state<Toast[]>([])
let next = 1

export function drop(id: number) {
  const i = toasts.findIndex((x) => x.id === id)
  if (i >= 0) toasts.splice(i, 1)
}

export function say(text: string, kind: Toast['kind'] = 'good') {
  const id = next++
  toasts.push({ id, text, kind })
  if (toasts.length > 4) toasts.shift()
  // Bad news stays until it is closed.
  if (kind === 'good') setTimeout(() => drop(id), 8000)
}

// told writes an error for people; the hub's own sentences are in English.
export function told(e: unknown): string {
  if (e instanceof Refused) {
    if (e.status === 0) return t('silent')
    return e.after ? t('wait', { text: e.message, s: e.after }) : e.message
  }
  return t('broken', { text: e instanceof Error ? e.message : String(e) })
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
