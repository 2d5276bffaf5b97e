// Every page, light and dark, on a desk and on a phone, in both languages: nothing
// that axe finds wrong, nothing wider than the screen, nothing that the browser
// complains about, no request to anywhere else.

import { accessible, assert, call, narrow, open, person, quiet, settled, test, world } from './lib.mjs'

// everyPage lists the pages as addresses, with the name of each.
export async function everyPage(page) {
  const first = async (table, key = 'id', query = '') => {
    const r = await call(page, 'GET', `/v1/tables/${table}?size=1${query}`)
    assert.ok(r.status === 200 && r.value.rows.length, `no row of ${table}: ${JSON.stringify(r.value)}`)
    return encodeURIComponent(r.value.rows[0][key])
  }
  const campaign = await first('campaigns', 'id', '&sort=sources&desc=1')
  const device = await first('devices', 'id', '&sort=name')
  const list = ['/', '/campaigns', `/campaigns/${campaign}`, '/rules', '/rules/import', '/about/203.0.113.7', '/sources', '/devices', '/devices/enrol', `/devices/${device}`,
    '/controllers', '/cases', '/compromise', '/notices', '/settings', '/settings/users', '/settings/tokens', '/settings/passes', '/settings/notifications', '/settings/policy',
    '/settings/hub', '/log', '/help', '/nothing/is/here']
  const cases = await call(page, 'GET', '/v1/tables/cases?size=1')
  if (cases.value.rows?.length) list.push('/cases/' + encodeURIComponent(cases.value.rows[0].id))
  return list
}

// hubSays is how sentences begin that the hub makes in English, and a page says in French.
const hubSays = /^(failures at this owner|blocked for|witness(es)? |by policy|nothing is known of|many people share|somebody who belongs|the hub's|the root key|guesses within|failures within|sign (in|out)|take another|make (an?|ten) |change (the|a|device|user)|add user|import a list|hand in|open a case)\b|after the attack began|simulated time/im

// pictures is a folder for pictures of all that, for whoever looks at them.
const pictures = process.env.LOOKS

// asPerson opens a window with the session of another, in another look.
export async function asPerson(page, look) {
  const context = await person(look)
  await context.addCookies(await page.context().cookies())
  return context.newPage()
}

export async function look({ admin }) {
  const pages = await everyPage(admin)
  const looks = { 'light, on a desk': {}, 'dark, on a desk': { dark: true }, 'light, on a phone': { phone: true }, 'dark, on a phone': { dark: true, phone: true, language: 'fr' } }
  for (const [name, how] of Object.entries(looks)) {
    const page = await asPerson(admin, how)
    for (const path of pages) {
      await test(`${path.replace(/^\/(campaigns|devices|cases)\/(?!enrol).*/, '/$1/one')} ${name}`, async () => {
        await open(page, path)
        await accessible(page)
        if (how.phone) await narrow(page)
        if (pictures) await page.screenshot({ path: `${pictures}/${(path + ' ' + name).replace(/[^a-z0-9]+/gi, '-')}.png`, fullPage: true })
        quiet(page)
      })
    }
    await page.context().close()
  }

  await test('nothing is kept that should not be, and nothing else may run', async () => {
    const { origin } = new URL(admin.url())
    const cookie = (await admin.context().cookies()).map((c) => `${c.name}=${c.value}`).join('; ')
    const page = await fetch(origin + '/console/rules', { headers: { Cookie: cookie } })
    const policy = page.headers.get('content-security-policy') ?? ''
    assert.match(policy, /default-src 'none'|default-src 'self'/)
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|\*/)
    assert.match(policy, /frame-ancestors 'none'/)
    for (const path of ['/v1/session', '/v1/overview?span=1h', '/v1/tables/rules', '/v1/tables/rules?format=csv']) {
      const r = await fetch(origin + path, { headers: { Cookie: cookie } })
      assert.equal(r.status, 200, path)
      assert.match(r.headers.get('cache-control') ?? '', /no-store/, path)
      await r.arrayBuffer()
    }
  })

  await test('in French every page says nothing in English that the console says', async () => {
    const page = await asPerson(admin, { language: 'fr' })
    for (const path of pages) {
      await open(page, path)
      assert.equal(await page.locator('html').getAttribute('lang'), 'fr')
      const text = await page.locator('body').innerText()
      assert.doesNotMatch(text, /\b(Loading|Devices|Settings|Search|Filters|Sign out|Overview|Rows a page|Nothing matches)\b/, path)
      assert.doesNotMatch(text, hubSays, path)
      if (path === '/settings/policy') for (const s of (await call(page, 'GET', '/v1/policy')).value.settings) assert.ok(!text.includes(s.doc), `${s.key} is explained in English`)
    }
    quiet(page)
    await page.context().close()
  })

  await test('in French a refusal is French, and what is the hub’s own English is marked so', async () => {
    const page = await asPerson(admin, { language: 'fr' })
    const refused = async (status, error) => {
      await page.route('**/v1/policy', (r) => r.fulfill({ status, json: { error } }))
      await open(page, '/settings/policy')
      const alert = page.getByRole('alert')
      const said = [(await alert.innerText()).replace(/\s+/g, ' '), await alert.locator('[lang="en"]').allInnerTexts()]
      await page.unroute('**/v1/policy')
      return said
    }
    assert.deepEqual(await refused(403, 'ada may not: it takes the role of admin'), ['Il faut le rôle d’administrateur, que ada n’a pas. Réessayer', []])
    assert.deepEqual(await refused(409, 'the moon is full'), ['Ce n’est pas possible en l’état : the moon is full Réessayer', ['the moon is full']])
    await page.context().close()
  })

  await test('the choice of light, dark and language stays', async () => {
    const page = await asPerson(admin, {})
    await open(page, '/help')
    const before = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    await page.locator('select:visible, [role="radiogroup"]:visible').first().waitFor()
    const selects = page.locator('.side select:visible')
    for (let i = 0; i < (await selects.count()); i++) {
      const values = await selects.nth(i).locator('option').evaluateAll((list) => list.map((o) => o.value))
      const want = values.find((v) => v === 'dark' || v === 'fr')
      if (want) await selects.nth(i).selectOption(want)
    }
    await settled(page)
    await page.reload()
    await page.locator('html[lang="fr"]').waitFor()
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor), before)
    await page.context().close()
  })
}
