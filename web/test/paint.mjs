// paint.mjs LINK: how soon a browser that has nothing kept shows the overview, and how
// much JavaScript it fetches for it. Prints JSON: milliseconds to the first contentful
// paint, of several times, and bytes as they came, compressed. bench starts it.

import { chromium } from 'playwright-core'

const rounds = 7
const link = new URL(process.argv[2])
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] })

const first = await browser.newContext({ baseURL: link.origin })
const made = await first.request.post('/v1/invitation', {
  data: { code: decodeURIComponent(link.hash.slice(1)), name: 'bench-painter', password: 'a sentence is easier to remember' },
})
if (!made.ok()) throw new Error(`invitation: ${made.status()} ${await made.text()}`)
const cookies = await first.cookies()

const paints = []
let scripts = 0
let entry = 0
for (let i = 0; i < rounds; i++) {
  const context = await browser.newContext({ baseURL: link.origin }) // a cache of its own: empty
  await context.addCookies(cookies)
  const page = await context.newPage()
  await page.goto('/console/')
  await page.locator('[data-page="overview"]').waitFor()
  const seen = await page.evaluate(() => ({
    paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    scripts: performance.getEntriesByType('resource').filter((r) => new URL(r.name).pathname.endsWith('.js')).map((r) => r.encodedBodySize),
    entry: [...document.querySelectorAll('head script[src], head link[rel="modulepreload"]')].map((e) => e.src || e.href),
  }))
  paints.push(seen.paint)
  scripts = seen.scripts.reduce((a, b) => a + b, 0)
  entry = await page.evaluate((list) => performance.getEntriesByType('resource').filter((r) => list.includes(r.name)).reduce((a, r) => a + r.encodedBodySize, 0), seen.entry)
  await context.close()
}
await browser.close()
console.log(JSON.stringify({ paints, scripts, entry }))
