// What a page asks the hub for, and asks again when something changed.

import { hear, type Kinds } from '../lib/live.svelte'

export class Loaded<T> {
  value = $state.raw<T | null>(null)
  error = $state.raw<unknown>(null)
  busy = $state(true)
  #current: AbortController | null = null
  #took = 0
  #ask: (signal: AbortSignal) => Promise<T>

  constructor(ask: (signal: AbortSignal) => Promise<T>) {
    this.#ask = ask
  }

  // again asks anew; what was there stays until the answer has come.
  again = async () => {
    this.#current?.abort()
    const mine = (this.#current = new AbortController())
    const begun = Date.now()
    this.busy = true
    try {
      const v = await this.#ask(mine.signal)
      if (mine.signal.aborted) return
      this.value = v
      this.error = null
    } catch (e) {
      if (!mine.signal.aborted) this.error = e
    } finally {
      this.#took = Date.now() - begun
      if (this.#current === mine) this.busy = false
    }
  }

  // watch asks now, and whenever one of these was told; at most once in wait
  // milliseconds, because an attack tells much, and more seldom if the answer takes
  // long. It returns what ends it.
  watch(kinds: (keyof Kinds)[], about: (data: unknown, kind: keyof Kinds) => boolean = () => true, wait = 2000) {
    let timer = 0
    let last = Date.now()
    const soon = () => {
      if (timer) return
      timer = window.setTimeout(() => {
        timer = 0
        last = Date.now()
        void this.again()
      }, Math.max(0, last + Math.max(wait, 15 * this.#took) - Date.now()))
    }
    const stop = kinds.map((k) => hear(k, (d) => about(d, k) && soon()))
    stop.push(hear('again', () => soon()))
    void this.again()
    return () => {
      stop.forEach((f) => f())
      clearTimeout(timer)
      this.#current?.abort()
    }
  }
}
