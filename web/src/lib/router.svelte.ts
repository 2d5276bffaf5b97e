// The address of a page is its state: path and query are all that a link needs.

import type { Component } from 'svelte'

export const base = '/console'

export type Params = Record<string, string>
// Pages differ in what they are given: their path says it.
export type Page = Component<any>
export interface Route {
  path: string // such as "/campaigns/:id"
  section: string // what the navigation marks
  load: () => Promise<{ default: Page }>
}

function here() {
  const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : location.pathname
  return { path: path === '' ? '/' : path.length > 1 ? path.replace(/\/+$/, '') : path, query: new URLSearchParams(location.search) }
}

export const at = $state(here())

// link makes a link out of a path of the console and what the query says.
export function link(path: string, query?: Record<string, string | number | undefined>): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query ?? {})) if (v !== undefined && v !== '') q.set(k, String(v))
  const text = q.toString()
  return base + path + (text ? '?' + text : '')
}

function moved() {
  const now = here()
  if (now.path !== at.path) at.path = now.path
  at.query = now.query
}

// A page that holds what was typed may ask before it is left.
let guard: (() => boolean) | null = null
export function holdPage(ask: (() => boolean) | null) {
  guard = ask
}

// go opens an address of the console.
export function go(href: string, replace = false) {
  const to = new URL(href, location.href)
  if (to.pathname !== location.pathname && guard && !guard()) return
  if (to.pathname !== location.pathname) guard = null
  history[replace ? 'replaceState' : 'pushState'](null, '', to)
  moved()
  if (to.hash) document.getElementById(to.hash.slice(1))?.scrollIntoView()
}

// setQuery changes the query of the page; undefined takes a key away.
export function setQuery(change: Record<string, string | number | undefined>, replace = false) {
  const q = new URLSearchParams(location.search)
  for (const [k, v] of Object.entries(change)) {
    if (v === undefined || v === '') q.delete(k)
    else q.set(k, String(v))
  }
  const text = q.toString()
  if ('?' + text === location.search || (!text && !location.search)) return
  go(location.pathname + (text ? '?' + text : ''), replace)
}

// match finds the route of a path, and what its ":names" stand for.
export function match(routes: Route[], path: string): { route: Route; params: Params } | null {
  const parts = path.split('/')
  next: for (const route of routes) {
    const want = route.path.split('/')
    if (want.length !== parts.length) continue
    const params: Params = {}
    for (let i = 0; i < want.length; i++) {
      if (want[i].startsWith(':')) {
        try {
          params[want[i].slice(1)] = decodeURIComponent(parts[i])
        } catch {
          continue next
        }
      } else if (want[i] !== parts[i]) continue next
    }
    return { route, params }
  }
  return null
}

export function startRouter() {
  addEventListener('popstate', moved)
  document.addEventListener('click', (e) => {
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    const a = (e.target as Element | null)?.closest?.('a')
    if (!a || a.target || a.hasAttribute('download') || !a.href) return
    const to = new URL(a.href)
    if (to.origin !== location.origin || !(to.pathname === base || to.pathname.startsWith(base + '/'))) return
    if (to.hash && to.pathname === location.pathname && to.search === location.search) return
    e.preventDefault()
    go(to.href)
  })
}
