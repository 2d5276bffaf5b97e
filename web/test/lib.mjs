// What the browser tests are made of: one browser, people in contexts of their own,
// and a line of JSON for each test, which e2e/console_test.go reads. A test that fails
// leaves a picture of what was on the screen.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

export { assert }

// world is where the hub is and what the test may do to it.
export const world = JSON.parse(process.env.TOCSIN_WORLD ?? '{}')
export const pictures = world.pictures ?? 'pictures'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
export const patience = 10_000

let browser

export async function start() {
  mkdirSync(pictures, { recursive: true })
  browser = await chromium.launch({ executablePath: world.chromium ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] })
}

export const end = () => browser.close()

const opened = new Set() // pages of people who are there now
const said = new Map() // page -> what the browser complained about
const asking = new WeakMap() // by page: requests under way
let failures = 0

// test runs f, and tells how it went.
export async function test(name, f) {
  const begun = Date.now()
  const line = { name, ok: true }
  try {
    line.note = (await f()) || undefined
  } catch (e) {
    failures++
    line.ok = false
    line.error = String(e?.stack ?? e)
    line.pictures = []
    for (const page of opened) {
      const path = join(pictures, `${name.replace(/[^a-z0-9]+/gi, '-')}-${line.pictures.length}.png`)
      await page.screenshot({ path, timeout: 5000 }).then(() => line.pictures.push(path), () => {})
      line.at = (line.at ? line.at + ' ' : '') + page.url()
    }
  }
  line.ms = Date.now() - begun
  console.log(JSON.stringify(line))
}

export const failed = () => failures > 0

// person opens a window of somebody's own: cookies, language and screen.
export async function person({ dark = false, phone = false, language = 'en', secure = false, base } = {}) {
  const origin = base ?? (secure ? world.secure : world.base)
  const context = await browser.newContext({
    baseURL: origin,
    ignoreHTTPSErrors: secure,
    colorScheme: dark ? 'dark' : 'light',
    locale: language === 'fr' ? 'fr-FR' : 'en-GB',
    timezoneId: 'Europe/Zurich',
    viewport: phone ? { width: 390, height: 844 } : { width: 1280, height: 900 },
    hasTouch: phone,
    isMobile: phone,
    reducedMotion: 'reduce',
    acceptDownloads: true,
    permissions: [],
  })
  context.setDefaultTimeout(patience)
  context.on('page', (page) => watch(page, origin))
  return context
}

// watch notes what no page may do: ask elsewhere, break the policy, throw.
function watch(page, origin) {
  const notes = []
  said.set(page, notes)
  opened.add(page)
  const open = new Set()
  asking.set(page, open)
  page.on('close', () => opened.delete(page))
  for (const over of ['requestfinished', 'requestfailed']) page.on(over, (r) => open.delete(r))
  page.on('framenavigated', (frame) => frame === page.mainFrame() && open.clear())
  page.on('request', (r) => {
    if (!r.url().includes('/v1/live')) open.add(r) // that one stays open
    const u = new URL(r.url())
    if (u.protocol !== 'data:' && u.protocol !== 'blob:' && u.origin !== new URL(origin).origin) notes.push(`asks ${r.url()}`)
  })
  page.on('pageerror', (e) => notes.push(`throws ${e.message}`))
  page.on('console', (m) => {
    // An answer that is a refusal is told by the browser itself; whether it may be
    // one is what the test looks at.
    if (m.type() === 'error' && !/^Failed to load resource: (the server responded with a status of 4|net::ERR_(CONNECTION|INCOMPLETE|EMPTY|NETWORK|ABORTED))/.test(m.text())) notes.push(`says ${m.text()}`)
  })
}

// quiet wants that nothing was noted about a page, and forgets it.
export function quiet(...pages) {
  for (const page of pages) {
    const notes = said.get(page) ?? []
    assert.deepEqual(notes.splice(0), [], `the browser complains at ${page.url()}`)
  }
}

// control has the test's other half do something that a page cannot.
export async function control(what, body = {}) {
  const r = await fetch(`${world.control}/${what}`, { method: 'POST', body: JSON.stringify(body) })
  const text = await r.text()
  if (!r.ok) throw new Error(`${what}: ${text}`)
  return text ? JSON.parse(text) : undefined
}

// tocsin runs a command at the hub's socket.
export async function tocsin(...args) {
  return (await control('tocsin', { args })).out
}

// call asks the hub's API as the page would: with its cookie.
export function call(page, method, path, body) {
  return page.evaluate(
    async ([method, path, body]) => {
      const r = await fetch(path, { method, headers: body === undefined ? {} : { 'Content-Type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) })
      const text = await r.text()
      let value = text
      try {
        value = JSON.parse(text)
      } catch {
        // no JSON
      }
      return { status: r.status, value }
    },
    [method, path, body],
  )
}

// open goes to a page of the console, and waits until it shows what it is about.
export async function open(page, path, name) {
  await page.goto('/console' + path)
  if (name) await page.locator(`[data-page="${name}"]`).waitFor()
  await settled(page)
}

// settled waits until nothing on the page is being loaded, nor was a moment later: what
// came may have it ask for more.
export async function settled(page) {
  const done = async () => {
    await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]') && !/^(Loading…|Chargement…)$/m.test(document.querySelector('main')?.innerText ?? 'Loading…'))
    return !asking.get(page)?.size
  }
  await until('nothing to be loaded', async () => {
    if (!(await done())) return false
    await new Promise((over) => setTimeout(over, 60))
    return done()
  })
}

// until waits for something that no selector can say.
export async function until(what, f, wait = patience) {
  let but
  for (const end = Date.now() + wait; Date.now() < end; ) {
    try {
      const v = await f()
      if (v) return v
      but = undefined
    } catch (e) {
      but = e
    }
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`waited in vain for ${what}` + (but ? `: ${but.message ?? but}` : ''))
}

const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']

// accessible wants that axe finds nothing wrong with the page.
export async function accessible(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe)
  const found = await page.evaluate(async (tags) => {
    const r = await window.axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] })
    return r.violations.map((v) => `${v.id}: ${v.help}: ` + v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} (${n.failureSummary?.split('\n').slice(1, 3).join(' ').trim()})`).join('; '))
  }, rules)
  assert.deepEqual(found, [], `axe at ${page.url()}`)
}

// narrow wants that nobody has to scroll sideways.
export async function narrow(page) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth
    if (document.documentElement.scrollWidth <= width) return []
    const out = []
    for (const e of document.querySelectorAll('body *')) {
      const r = e.getBoundingClientRect()
      if (r.right > width + 1 && r.width > 0 && out.length < 5) out.push(`${e.tagName.toLowerCase()}.${e.className} to ${Math.round(r.right)}`)
    }
    return out.length ? out : ['something']
  })
  assert.deepEqual(wide, [], `wider than the screen at ${page.url()}`)
}
