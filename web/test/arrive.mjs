// Accounts: the first one by the link that the hub printed, others by invitation;
// roles; wrong passwords.

import { accessible, assert, call, control, open, person, quiet, settled, test, until, world } from './lib.mjs'

export const password = 'a sentence is easier to remember'

// accept takes an invitation in a window of its own.
export async function accept(context, link, name) {
  const page = await context.newPage()
  await page.goto(link)
  await page.locator('[data-page="welcome"] input[type="password"]').waitFor()
  await accessible(page)
  const field = page.getByLabel('Name', { exact: true })
  if (name && (await field.count())) await field.fill(name)
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.locator('[data-page="welcome"] button[type="submit"]').click()
  await page.locator('[data-page="overview"]').waitFor()
  await settled(page)
  return page
}

export async function signIn(page, name, word = password) {
  await page.getByLabel('Name', { exact: true }).fill(name)
  await page.getByLabel('Password', { exact: true }).fill(word)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

// arrive makes three accounts, and returns their windows.
export async function arrive() {
  const people = {}
  if (process.env.AGAIN) { // the accounts are there already: for whoever mends a test
    for (const [role, name] of [['admin', 'ada'], ['viewer', 'vera'], ['analyst', 'anton']]) {
      people[role] = await (await person()).newPage()
      await people[role].goto('/console/')
      await signIn(people[role], name)
      await people[role].locator('[data-page="overview"]').waitFor()
      await settled(people[role])
    }
    return people
  }

  await test('the first account, by the link that the hub printed', async () => {
    const admin = await person()
    people.admin = await accept(admin, world.link.replace(/^https?:\/\/[^/]+/, ''), 'ada')
    assert.equal(new URL(people.admin.url()).hash, '', 'the code stays in the address')
    const { value } = await call(people.admin, 'GET', '/v1/session')
    assert.equal(value.role, 'admin')
    const cookies = await admin.cookies()
    assert.ok(cookies.length && cookies.every((c) => c.httpOnly && c.sameSite === 'Strict'), JSON.stringify(cookies))
    quiet(people.admin)
  })
  if (!people.admin) return null

  await test('a link works once', async () => {
    const other = await person()
    const page = await other.newPage()
    await page.goto(world.link.replace(/^https?:\/\/[^/]+/, ''))
    await page.getByText('used before').waitFor()
    await other.close()
  })

  await test('over TLS the cookie is the hub’s alone', async () => {
    const c = await person({ secure: true })
    const page = await c.newPage()
    await page.goto('/')
    await page.locator('[data-page="sign-in"]').waitFor()
    assert.equal(new URL(page.url()).pathname, '/console/')
    await accessible(page)
    await signIn(page, 'ada')
    await page.locator('[data-page="overview"]').waitFor()
    await settled(page)
    const cookies = await c.cookies()
    assert.ok(cookies.every((k) => k.name.startsWith('__Host-') && k.secure && k.httpOnly && k.sameSite === 'Strict' && k.path === '/'), JSON.stringify(cookies))
    quiet(page)
    await c.close()
  })

  await test('what other sites have a browser send is refused', async () => {
    const { origin } = new URL(people.admin.url())
    const cookie = (await people.admin.context().cookies()).map((c) => `${c.name}=${c.value}`).join('; ')
    const r = await fetch(origin + '/v1/orders', {
      method: 'POST',
      headers: { Cookie: cookie, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site', 'Content-Type': 'application/json' },
      body: JSON.stringify({ verb: 'block', prefix: '192.0.2.1/32' }),
    })
    assert.equal(r.status, 403)
  })

  await test('an invitation, taken by somebody else', async () => {
    for (const [name, role] of [['vera', 'viewer'], ['anton', 'analyst']]) {
      const made = await call(people.admin, 'POST', '/v1/users', { name, role })
      assert.ok(made.status < 300, JSON.stringify(made))
      people[role] = await accept(await person(), new URL(made.value.link, people.admin.url()).href.replace(/^https?:\/\/[^/]+/, ''), name)
      quiet(people[role])
    }
  })

  await test('a viewer sees no action, and is refused one in plain words', async () => {
    const page = people.viewer
    for (const path of ['/', '/campaigns', '/rules', '/devices', '/controllers', '/cases', '/compromise']) {
      await open(page, path)
      const buttons = await page.locator('main button:visible').allInnerTexts()
      const acts = buttons.filter((b) => /^(Block|Allow|Unblock|Enrol|Revoke|Rename|Open a case|Approve|Send|Save|Invite|Import)/.test(b))
      assert.deepEqual(acts, [], `at ${path}`)
    }
    quiet(page)
    for (const [method, path, body] of [
      ['POST', '/v1/orders', { verb: 'block', prefix: '192.0.2.1/32', note: 'no' }],
      ['POST', '/v1/users', { name: 'x', role: 'admin' }],
      ['POST', '/v1/tokens', { owner: 'home' }],
      ['PUT', '/v1/policy', { settings: {} }],
      ['GET', '/v1/tables/users', undefined],
      ['GET', '/v1/tables/log', undefined],
    ]) {
      const r = await call(page, method, path, body)
      assert.equal(r.status, 403, `${method} ${path}: ${JSON.stringify(r)}`)
      assert.match(r.value.error, /analyst|admin|role|viewer/, `${method} ${path}`)
    }
  })

  await test('two roles more see what they may', async () => {
    const r = await call(people.analyst, 'POST', '/v1/users', { name: 'x', role: 'admin' })
    assert.equal(r.status, 403)
    await open(people.analyst, '/rules')
    await people.analyst.getByRole('button', { name: /^Block/ }).first().waitFor()
  })
  return people
}
