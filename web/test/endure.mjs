// What a console has to endure: a hub that goes away, sessions that end, two tabs,
// text that somebody hostile chose.

import { accept, password, signIn } from './arrive.mjs'
import { asPerson } from './look.mjs'
import { assert, call, control, open, patience, person, quiet, settled, test, tocsin, until, world } from './lib.mjs'

// fillOrder opens the question about an address, and types all but the last click.
export async function fillOrder(page, verb, address, reason) {
  await page.getByRole('button', { name: new RegExp('^' + verb) }).first().click()
  const dialog = page.getByRole('dialog', { name: verb })
  await dialog.getByLabel('Address or prefix').fill(address)
  await dialog.getByLabel('Reason').fill(reason)
  return dialog
}

export async function endure({ admin, viewer, analyst }) {
  await test('a lost connection is told, and the page catches up by itself', async () => {
    await open(admin, '/rules', 'rules')
    await open(viewer, '/', 'overview')
    await admin.evaluate(() => (window.same = true))
    await control('stop')
    for (const page of [admin, viewer]) await page.locator('[data-live="lost"]').waitFor()
    await admin.getByText('Connection lost').waitFor()
    await control('start')
    const begun = Date.now()
    for (const page of [admin, viewer]) await page.locator('[data-live="on"]').waitFor({ timeout: 30_000 })
    const back = Date.now() - begun
    await tocsin('block', '203.0.113.201', '--fleet', '--note', 'after the hub came back')
    await until('the new rule on the page that was open', async () => (await admin.locator('[data-table="rules"]').innerText()).includes('203.0.113.201'))
    assert.ok(await admin.evaluate(() => window.same), 'the page was loaded anew')
    quiet(admin, viewer)
    return `live again ${back} ms after the hub was`
  })

  await test('what was typed survives a hub that does not answer', async () => {
    await open(analyst, '/rules', 'rules')
    const dialog = await fillOrder(analyst, 'Block', '203.0.113.202', 'typed before the hub went away')
    await control('stop')
    await dialog.getByRole('button', { name: 'Block' }).click()
    await dialog.getByText('does not answer').waitFor()
    assert.equal(await dialog.getByLabel('Reason').inputValue(), 'typed before the hub went away')
    await control('start')
    await dialog.getByRole('button', { name: 'Block' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await until('the rule', async () => (await analyst.locator('[data-table="rules"]').innerText()).includes('203.0.113.202'))
    quiet(analyst)
  })

  await test('a session that ends while something is typed loses nothing', async () => {
    await open(analyst, '/rules', 'rules')
    const dialog = await fillOrder(analyst, 'Block', '203.0.113.203', 'typed before the session ended')
    const r = await call(admin, 'DELETE', '/v1/users/anton/sessions')
    assert.equal(r.status, 204, JSON.stringify(r))
    await dialog.getByRole('button', { name: 'Block' }).click()
    await analyst.locator('[data-page="sign-in-again"]').waitFor()
    await analyst.locator('[data-page="sign-in-again"]').getByLabel('Password').fill(password)
    await analyst.locator('[data-page="sign-in-again"]').getByRole('button', { name: 'Sign in' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await until('the rule', async () => (await analyst.locator('[data-table="rules"]').innerText()).includes('203.0.113.203'))
    quiet(analyst)
  })

  await test('two tabs are one person', async () => {
    const context = await person()
    const one = await context.newPage()
    await one.goto('/console/help')
    await one.locator('[data-page="sign-in"]').waitFor()
    await signIn(one, 'vera')
    await one.locator('[data-page="help"]').waitFor()
    const two = await context.newPage()
    await open(two, '/devices', 'devices')
    await one.getByRole('button', { name: 'Sign out' }).first().click()
    await two.locator('[data-page="sign-in"]').waitFor()
    await signIn(two, 'vera')
    await two.locator('[data-page="devices"]').waitFor()
    await one.locator('[data-page="help"]').waitFor()
    quiet(one, two)
    await context.close()
  })

  await test('a deep link leads there after signing in', async () => {
    const context = await person()
    const page = await context.newPage()
    await page.goto('/console/rules?q=203.0.113&sort=until&page=1')
    await page.locator('[data-page="sign-in"]').waitFor()
    await signIn(page, 'vera')
    await page.locator('[data-page="rules"]').waitFor()
    await settled(page)
    assert.match(page.url(), /q=203\.0\.113/)
    assert.equal(await page.getByRole('searchbox', { name: 'Search' }).inputValue(), '203.0.113')
    await context.close()
  })

  await test('signing out everywhere ends every session of mine', async () => {
    const other = await person()
    const there = await other.newPage()
    await there.goto('/console/devices')
    await signIn(there, 'vera')
    await there.locator('[data-page="devices"]').waitFor()
    await open(viewer, '/settings')
    await viewer.getByRole('button', { name: /everywhere/i }).first().click()
    const sure = viewer.getByRole('dialog').getByRole('button', { name: /everywhere/i })
    if (await sure.waitFor({ timeout: 1000 }).then(() => true, () => false)) await sure.click()
    await viewer.locator('[data-page="sign-in"]').waitFor()
    await until('the other to be told', async () => (await call(there, 'GET', '/v1/session')).status === 401)
    await signIn(viewer, 'vera')
    await viewer.locator('[data-page="sign-in"]').waitFor({ state: 'hidden' })
    await other.close()
    quiet(viewer)
  })

  await hostile({ admin, analyst })
}

const markup = '<img src=x onerror="window.hacked=1">'
const bidi = 'nas\u202Egnp.exe\u2066'

async function hostile({ admin, analyst }) {
  await test('what turns text round, or rings, is refused where people type', async () => {
    for (const [method, path, body] of [
      ['PATCH', `/v1/devices/${world.probe}`, { labels: { model: bidi } }],
      ['PATCH', `/v1/devices/${world.probe}`, { name: 'zero\u200Bwidth' }],
      ['POST', '/v1/users', { name: bidi, role: 'viewer' }],
      ['POST', '/v1/orders', { verb: 'block', prefix: '203.0.113.210/32', note: 'bell\u0007' }],
    ]) {
      const r = await call(admin, method, path, body)
      assert.ok(r.status >= 400 && r.status < 500 && r.value.error, `${method} ${path}: ${JSON.stringify(r)}`)
    }
  })

  await test('text that somebody hostile chose is text', async () => {
    // What people type; what a device is called and labelled; whom an attacker says he
    // is; what an intruder calls his file.
    const order = await call(analyst, 'POST', '/v1/orders', { verb: 'block', prefix: '203.0.113.210/32', note: markup + ' “quoted” & ' + 'é'.repeat(80) })
    assert.equal(order.status, 200, JSON.stringify(order))
    const change = await call(admin, 'PATCH', `/v1/devices/${world.probe}`, { name: markup.slice(0, 60), labels: { model: markup }, groups: [markup] })
    assert.equal(change.status, 200, JSON.stringify(change))
    const file = 'x<img src=x onerror=alert(1)>'
    await control('plant', { name: file })
    await control('plant', { name: bidi })
    const tried = [markup, bidi, 'admin<script>alert(1)</script>']
    await control('say', { lines: tried.flatMap((name, i) => Array(3).fill(`Failed password for invalid user ${name} from 203.0.113.211 port ${4000 + i} ssh2`)) })
    await until('the hub to know of it', async () => (await call(admin, 'GET', '/v1/about?address=203.0.113.211')).value.seen?.attempts > 0, 2 * patience)
    await until('the hub to know of the files', async () => JSON.stringify((await call(admin, 'GET', '/v1/compromise/' + world.probe)).value).includes('onerror'), 6 * patience)
    const texts = {}
    const wanted = [['/about/203.0.113.210', '<img src=x'], [`/devices/${world.probe}`, file], [`/devices/${world.probe}`, 'nas\\xe280ae']]
    for (const path of ['/rules?q=203.0.113.21', '/about/203.0.113.210', '/about/203.0.113.211', '/devices', `/devices/${world.probe}`, '/compromise', '/log', '/']) {
      await open(admin, path)
      const want = wanted.filter(([at]) => at === path).map(([, text]) => text)
      await until(`${want} at ${path}`, async () => want.every((w) => (texts[path] ?? '').includes(w)) || void (texts[path] = await admin.locator('main').innerText()))
      texts[path] = await admin.locator('main').innerText()
      assert.equal(await admin.evaluate(() => window.hacked), undefined, path)
      assert.equal(await admin.locator('img, main script').count(), 0, path)
      assert.ok(!/[\u202a-\u202e\u2066-\u2069\u0007\u200b]/.test(texts[path]), `what turns text round is there as it came, at ${path}`)
    }
    quiet(admin)
  })

  await test('a name that nobody knows is no page, and says so', async () => {
    for (const path of ['/devices/nobody', '/campaigns/nothing', '/cases/none', '/about/not-an-address', '/about/' + encodeURIComponent(markup)]) {
      await open(admin, path)
      const text = await admin.locator('main').innerText()
      assert.match(text, /not found|want that of a case|want one, such as/, path)
      assert.equal(await admin.evaluate(() => window.hacked), undefined)
    }
  })
}
