// Who is signed in, in this tab and in the others.

import { anonymous, onExpired, Refused } from './api'

export type Role = 'viewer' | 'analyst' | 'admin'

export interface Session {
  name: string
  role: Role
  since: string
  until: string
  version: string
  demo: boolean
}

// out: nobody is; in: somebody is; ended: somebody was, and the page is kept for them.
export const session = $state({
  state: 'unknown' as 'unknown' | 'out' | 'in' | 'ended',
  who: null as Session | null,
  first: false, // nobody has an account yet
  silent: false, // the hub did not answer
})

const tabs = new BroadcastChannel('tocsin.session')
let waiting: { done: () => void; failed: (e: unknown) => void }[] = []

const ranks: Role[] = ['viewer', 'analyst', 'admin']

// may reports whether whoever is signed in has that role at least.
export function may(role: Role): boolean {
  return !!session.who && ranks.indexOf(session.who.role) >= ranks.indexOf(role)
}

// look asks the hub who this is.
export async function look() {
  try {
    enter(await anonymous<Session>('GET', '/v1/session'))
  } catch (e) {
    if (!(e instanceof Refused)) throw e
    session.silent = e.status !== 401
    session.first = e.body.first === true
    if (session.state === 'unknown' && e.status === 401) session.state = 'out'
    if (session.state === 'in' && e.status === 401) session.state = 'ended'
  }
}

function enter(s: Session) {
  session.who = s
  session.silent = session.first = false
  session.state = 'in'
  for (const w of waiting) w.done()
  waiting = []
}

export async function signIn(name: string, password: string) {
  enter(await anonymous<Session>('POST', '/v1/session', { name, password }))
  tabs.postMessage('in')
}

// welcome takes an invitation.
export async function welcome(code: string, name: string, password: string) {
  enter(await anonymous<Session>('POST', '/v1/invitation', { code, name, password }))
  tabs.postMessage('in')
}

export async function signOut(everywhere = false) {
  try {
    await anonymous<void>('DELETE', everywhere ? '/v1/sessions' : '/v1/session')
  } catch (e) {
    if (!(e instanceof Refused) || e.status !== 401) throw e
  }
  leave()
  tabs.postMessage('out')
}

function leave() {
  session.who = null
  session.state = 'out'
  for (const w of waiting) w.failed(new Refused(401, ''))
  waiting = []
}

// leaveFor gives up the page that was kept.
export const giveUp = leave

export function startSession() {
  onExpired(() => {
    if (session.state === 'in') session.state = 'ended'
    return new Promise<void>((done, failed) => waiting.push({ done, failed }))
  })
  tabs.onmessage = (e) => {
    if (e.data === 'out') leave()
    else if (session.state !== 'in') void look()
  }
  addEventListener('pageshow', (e) => {
    if (e.persisted) void look()
  })
  return look()
}
