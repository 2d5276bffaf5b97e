// pictures.mjs PROGRAM FOLDER: the pictures of the README, taken of a demo that has
// lived its story. make pictures runs it.

import { spawn } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [program, folder] = process.argv.slice(2)
const most = 200 << 10 // bytes of a picture
mkdirSync(folder, { recursive: true })

const demo = spawn(program, ['demo', '--no-open', '--firewall', 'memory', '--listen', '127.0.0.1:7489'], { stdio: ['ignore', 'pipe', 'inherit'] })
let said = ''
demo.stdout.on('data', (b) => (said += b))
process.on('exit', () => demo.kill())

async function until(f) {
  for (const end = Date.now() + 180_000; Date.now() < end; ) {
    const v = await f()
    if (v) return v
    await new Promise((done) => setTimeout(done, 200))
  }
  throw new Error('waited in vain; the demo said:\n' + said)
}
const [, base, name, password] = await until(() => said.match(/Console +(http:\/\/[^/\s]+)\/console\/\nSign in +(\S+), with the password (\S+)/))

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] })
const first = await browser.newContext({ baseURL: base })
const signed = await first.request.post('/v1/session', { data: { name, password } })
if (!signed.ok()) throw new Error(`sign in: ${signed.status()}`)
const cookies = await first.cookies()
const get = async (path) => (await first.request.get(path)).json()
await until(async () => (await get('/v1/demo')).summary)

const one = async (table) => (await get(`/v1/tables/${table}&size=1`)).rows[0]
const campaign = await one('campaigns?sort=sources&desc=1')
const file = await one('cases?sort=opened&desc=1')
const shots = {
  'overview-light': { path: '/', width: 1280, height: 860 },
  'campaign-dark': { path: '/campaigns/' + campaign.id, dark: true, width: 1280, height: 980, scale: 0.64 },
  'case-light': { path: '/cases/' + file.id, width: 1280, height: 1000 },
  phone: { path: '/', width: 390, height: 844, phone: true, scale: 2 },
}
for (const [what, s] of Object.entries(shots)) {
  const context = await browser.newContext({
    baseURL: base, colorScheme: s.dark ? 'dark' : 'light', viewport: { width: s.width, height: s.height }, isMobile: !!s.phone, hasTouch: !!s.phone,
    deviceScaleFactor: s.scale ?? 1, reducedMotion: 'reduce', locale: 'en-GB',
  })
  await context.addCookies(cookies)
  const page = await context.newPage()
  await page.goto('/console' + s.path)
  await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]') && document.querySelector('main h1'))
  await page.waitForTimeout(1500) // charts and the graph come to rest
  const path = join(folder, what + '.png')
  await page.screenshot({ path })
  const size = statSync(path).size
  console.log(`${path}: ${size} bytes`)
  if (size > most) throw new Error(`${path} is larger than ${most} bytes`)
  await context.close()
}
await browser.close()
demo.kill('SIGINT')
