// What happens, as the hub tells it: one stream of events a tab, resumed where it
// was cut off. A tab that nobody looks at hangs up after a while, because browsers
// allow only six connections to a hub without TLS.

import { setClock } from './clock.svelte'
import { look, session } from './session.svelte'
import type { CampaignLine, DemoClock, LiveRule, Now, Story } from './types'

export interface Kinds {
  hello: { version: string; now: string; demo: DemoClock | null }
  now: Now
  rule: LiveRule
  campaign: CampaignLine
  controller: { address: string; port: number; class: string; q: number; score: number; rank: number }
  case: { id: string; state: string; source: string; kind: string }
  compromise: { counts: Record<string, number> }
  device: { id: string; name: string; state: string }
  log: { serial: number }
  table: { name: string }
  story: Story
  clock: DemoClock
  again: Record<string, never>
  bye: Record<string, never>
}

export const live = $state({
  state: 'off' as 'off' | 'on' | 'lost',
  heard: 0, // hub's time of the last word
  now: null as Now | null,
  demo: null as DemoClock | null,
  story: [] as Story[],
})

type Hear<K extends keyof Kinds> = (data: Kinds[K]) => void
const hearers = new Map<string, Set<(data: never) => void>>()

// hear calls f for every event of a kind, until the function returned is called.
export function hear<K extends keyof Kinds>(kind: K, f: Hear<K>): () => void {
  let set = hearers.get(kind)
  if (!set) hearers.set(kind, (set = new Set()))
  set.add(f as (data: never) => void)
  return () => set.delete(f as (data: never) => void)
}

function tell(kind: string, data: unknown) {
  for (const f of hearers.get(kind) ?? []) f(data as never)
}

const quiet = 40_000 // the hub says something every 15 s
const hidden = 60_000
let last = '' // id of the last event
let stop: AbortController | null = null
let lostSince = 0

function take(kind: string, text: string) {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    return
  }
  live.heard = Date.now()
  if (kind === 'hello') {
    const h = data as Kinds['hello']
    setClock(h.now, h.demo?.speed, h.demo?.paused)
    live.demo = h.demo
    live.state = 'on'
  } else if (kind === 'clock') {
    const c = data as DemoClock
    if (live.demo && c.seed !== live.demo.seed) live.story = []
    setClock(c.now, c.speed, c.paused)
    live.demo = c
  } else if (kind === 'now') live.now = data as Now
  else if (kind === 'story') {
    const s = data as Story
    if (!live.story.some((o) => o.n === s.n)) live.story.push(s)
  } else if (kind === 'bye') stop?.abort()
  tell(kind, data)
}

// read takes the stream apart (HTML standard, section 9.2).
async function read(body: ReadableStream<Uint8Array>, alive: () => void) {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let rest = ''
  let kind = ''
  let data: string[] = []
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    alive()
    rest += value
    for (let end; (end = rest.indexOf('\n')) >= 0; rest = rest.slice(end + 1)) {
      const line = rest.slice(0, end).replace(/\r$/, '')
      if (line === '') {
        if (data.length) take(kind || 'message', data.join('\n'))
        kind = ''
        data = []
      } else if (line.startsWith('event:')) kind = line.slice(6).trim()
      else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
      else if (line.startsWith('id:')) last = line.slice(3).trim()
    }
    if (rest.length > 1 << 20) return // no event is as long
  }
}

async function once(): Promise<void> {
  stop = new AbortController()
  let timer = 0
  const alive = () => {
    clearTimeout(timer)
    timer = window.setTimeout(() => stop?.abort(), quiet)
  }
  alive()
  try {
    const r = await fetch('/v1/live', {
      credentials: 'same-origin',
      cache: 'no-store',
      headers: { Accept: 'text/event-stream', ...(last ? { 'Last-Event-ID': last } : {}) },
      signal: stop.signal,
    })
    if (r.status === 401) await look()
    if (r.ok && r.body) await read(r.body, alive)
  } finally {
    clearTimeout(timer)
  }
}

const wait = (ms: number) =>
  new Promise<void>((done) => {
    const t = setTimeout(done, ms)
    wake = () => {
      clearTimeout(t)
      done()
    }
  })
let wake = () => {}
let running = false

// startLive listens for as long as somebody is signed in.
export async function startLive() {
  if (running) return
  running = true
  document.addEventListener('visibilitychange', seen)
  addEventListener('online', () => wake())
  let failed = 0
  while (session.state === 'in') {
    if (document.hidden && asleep) {
      await wait(3_600_000)
      continue
    }
    const begun = Date.now()
    try {
      await once()
    } catch {
      // Said by what follows: the connection is lost.
    }
    if (session.state !== 'in') break
    if (Date.now() - begun > 10_000) failed = 0
    if (!asleep) {
      if (live.state !== 'lost') lostSince = live.heard || Date.now()
      live.state = 'lost'
      // Many consoles come back after a restart: not all at the same moment.
      await wait(Math.min(15_000, 500 * 2 ** failed++) * (0.5 + Math.random()))
    }
  }
  running = false
  live.state = 'off'
}

export const lostAt = () => lostSince

export function stopLive() {
  last = ''
  live.now = null
  live.story = []
  stop?.abort()
  wake()
}

let asleep = false
let sleep = 0
function seen() {
  clearTimeout(sleep)
  if (document.hidden) {
    sleep = window.setTimeout(() => {
      asleep = true
      stop?.abort()
    }, hidden)
  } else {
    asleep = false
    wake()
  }
}
