// Settings: users, tokens, passes, notifications, the policy with its what-if; and the
// log that tells all of it.

import { accept, password, signIn } from './arrive.mjs'
import { assert, call, control, open, person, quiet, settled, test, tocsin, until, world } from './lib.mjs'

export async function settings({ admin: page, analyst, viewer }) {
  await users({ page, analyst, viewer })
  await secrets({ page })

  await test('a test message reaches who is on call', async () => {
    await open(page, '/settings/notifications')
    const before = (await control('letters')).length
    const text = await page.locator('main').innerText()
    assert.ok(text.includes('on call') && !text.includes('oncall@example.net'), 'a recipient is missing, or told in full:\n' + text)
    await page.getByRole('button', { name: 'Send a test to all' }).click()
    await page.getByText('The test was sent').waitFor()
    await until('the letter', async () => (await control('letters')).slice(before).some((l) => l.to === 'oncall@example.net'))
    quiet(page)
  })

  await policy({ page, analyst, viewer })
  await log({ page })
}

// again signs somebody in whose sessions ended.
async function again(page, name) {
  await page.goto('/console/')
  await page.locator('[data-page="sign-in"]').waitFor()
  await signIn(page, name)
  await page.locator('[data-page="overview"]').waitFor()
}

async function users({ page, analyst, viewer }) {
  await test('somebody is invited, takes the invitation, is changed, signed out and removed', async () => {
    await open(page, '/settings/users')
    await page.getByRole('button', { name: 'Invite somebody' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('greta')
    await dialog.getByLabel('Role').selectOption('analyst')
    await dialog.getByRole('button', { name: 'Make the link' }).click()
    const link = (await page.locator('[data-secret]').innerText()).trim()
    assert.match(link, /\/console\/welcome#\S{20,}$/)
    await page.getByRole('button', { name: 'I have it' }).click()
    const context = await person()
    const greta = await accept(context, link, 'greta')
    const { value } = await call(greta, 'GET', '/v1/session')
    assert.ok(value.name === 'greta' && value.role === 'analyst', JSON.stringify(value))

    const row = page.locator('[data-table="users"] tbody tr', { hasText: 'greta' })
    await until('her to be active', async () => /active/.test(await row.innerText()))
    await row.getByRole('button', { name: /^Change/ }).click()
    await dialog.getByLabel('Role').selectOption('viewer')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await until('her other role', async () => (await call(greta, 'GET', '/v1/session')).value.role !== 'analyst')
    await row.getByRole('button', { name: /^Remove/ }).click()
    await dialog.getByRole('button', { name: 'Remove' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await row.waitFor({ state: 'detached' })
    assert.equal((await call(greta, 'GET', '/v1/session')).status, 401)
    quiet(page)
    await context.close()
  })

  await test('the last admin cannot shut everybody out', async () => {
    for (const [method, path, body] of [['DELETE', '/v1/users/ada'], ['PATCH', '/v1/users/ada', { role: 'viewer' }], ['PATCH', '/v1/users/ada', { off: true }]]) {
      const r = await call(page, method, path, body)
      assert.ok(r.status >= 400 && r.value.error, `${method} ${JSON.stringify(body)}: ${JSON.stringify(r)}`)
    }
  })

  await test('a password is changed, which ends all other sessions', async () => {
    const here = await person()
    const one = await here.newPage()
    await one.goto('/console/settings')
    await signIn(one, 'vera')
    await one.getByLabel('Present password').waitFor()
    await one.getByLabel('Present password').fill('not the present one')
    await one.getByLabel('New password').fill('another sentence to remember')
    await one.getByRole('button', { name: 'Change', exact: true }).click()
    await one.getByRole('alert').waitFor()
    await one.getByLabel('Present password').fill(password)
    await one.getByRole('button', { name: 'Change', exact: true }).click()
    await one.getByText('The password is changed').waitFor()
    const r = await call(one, 'POST', '/v1/session/password', { old: 'another sentence to remember', new: password })
    assert.equal(r.status, 204, JSON.stringify(r))
    quiet(one)
    await here.close()
    assert.equal((await call(viewer, 'GET', '/v1/session')).status, 401, 'the sessions of before go on')
    await again(viewer, 'vera')
  })

  await test('a forgotten password is reset only on the hub’s machine', async () => {
    const out = await tocsin('users', 'reset', 'anton')
    const link = out.match(/\S+\/console\/welcome#\S+/)?.[0]
    assert.ok(link, out)
    const context = await person()
    await accept(context, new URL(link, world.base).href.replace(/^https?:\/\/[^/]+/, ''))
    await context.close()
    assert.equal((await call(analyst, 'GET', '/v1/session')).status, 401, 'the sessions of before go on')
    await again(analyst, 'anton')
  })
}

async function secrets({ page }) {
  const dialog = page.getByRole('dialog')

  await test('an API token is made, used and dropped', async () => {
    await open(page, '/settings/tokens')
    await page.getByRole('button', { name: 'Make a token' }).first().click()
    await dialog.getByLabel('Name').fill('grafana')
    await dialog.locator('button[type="submit"]').click()
    const token = (await page.locator('[data-secret]').innerText()).trim()
    const ask = () => fetch(world.base + '/v1/tables/rules?size=1', { headers: { Authorization: 'Bearer ' + token } })
    assert.equal((await ask()).status, 200)
    await page.getByRole('button', { name: 'I have it' }).click()
    await page.locator('[data-table="accesses"] tbody tr', { hasText: 'grafana' }).getByRole('button', { name: /^Drop/ }).click()
    await dialog.getByRole('button', { name: 'Drop' }).click()
    await dialog.waitFor({ state: 'hidden' })
    assert.equal((await ask()).status, 401)
    quiet(page)
  })

  await test('passes are made, and redeemed once', async () => {
    await open(page, '/settings/passes')
    await page.getByLabel('Owner').fill('home')
    await page.getByRole('button', { name: 'Show the passes' }).click()
    await page.getByRole('button', { name: /^Make new passes/ }).first().click()
    await dialog.locator('button[type="submit"]').click()
    const text = await page.locator('[data-secret]').innerText()
    assert.equal(text.match(/[0-9A-Z]{4}(-[0-9A-Z]{4}){3}/g)?.length, 10, text)
    await page.getByRole('button', { name: 'I have it' }).click()
    await until('them in the table', async () => (await page.locator('[data-table="passes"] tbody tr').count()) === 10)
    quiet(page)
  })
}

async function policy({ page, analyst, viewer }) {
  await test('a policy is tried on the last days, saved, and taken back', async () => {
    await open(page, '/settings/policy')
    const field = page.getByLabel('policy.fast_failures').or(page.getByLabel('fast_failures')).first()
    const usual = await field.inputValue()
    await field.fill('3')
    const save = page.getByRole('button', { name: /^Save/ })
    assert.ok(await save.isDisabled(), 'it can be saved before it was tried')
    const begun = Date.now()
    await page.getByRole('button', { name: /^What if/ }).click()
    await page.locator('[data-trial]').waitFor({ timeout: 60_000 })
    const took = Date.now() - begun
    assert.match(await page.locator('[data-trial]').innerText(), /Would (also|no longer) be blocked/)
    await save.click()
    await page.getByRole('dialog').getByRole('button', { name: /^Save/ }).click()
    await page.getByText('The policy is in force').waitFor({ timeout: 30_000 })
    await until('the saved value', async () => (await call(page, 'GET', '/v1/policy')).value.settings.some((s) => s.key.endsWith('fast_failures') && s.value === '3' && s.changed))
    await page.getByRole('button', { name: 'Back to the file’s' }).first().click()
    await page.getByText('is in force again').waitFor({ timeout: 30_000 })
    assert.equal((await call(page, 'GET', '/v1/policy')).value.settings.find((s) => s.key.endsWith('fast_failures')).value, usual)
    quiet(page)
    return `tried in ${took} ms`
  })

  await test('what is no policy is refused in words', async () => {
    await open(analyst, '/settings/policy')
    const field = analyst.getByLabel('policy.fast_failures').or(analyst.getByLabel('fast_failures')).first()
    await field.fill('many')
    await analyst.getByRole('button', { name: /^What if/ }).click()
    await analyst.getByRole('alert').waitFor()
    assert.equal(await field.inputValue(), 'many')
    assert.equal(await analyst.getByRole('button', { name: /^Save/ }).count(), 0, 'an analyst may save')
    await analyst.getByRole('button', { name: 'Discard' }).click()
    quiet(analyst)
    await open(viewer, '/settings/policy')
    await viewer.getByText('takes the role of analyst').waitFor()
    assert.equal(await viewer.getByRole('button', { name: /^What if/ }).count(), 0)
    quiet(viewer)
  })
}

async function log({ page }) {
  await test('the log tells all that was done, and proves it', async () => {
    await open(page, '/log', 'log')
    const { value } = await call(page, 'GET', '/v1/tables/log?size=500')
    const text = value.rows.map((r) => `${r.by} ${r.did} ${r.outcome}`).join('\n')
    for (const word of ['ada', 'greta', 'grafana', 'policy', 'refused']) assert.ok(text.includes(word), `${word} is not in the log:\n${text.slice(0, 2000)}`)
    assert.ok(!text.includes(password), 'a password is in the log')
    await page.getByRole('button', { name: /^Verify/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: /^Verify/ }).click()
    await page.locator('[data-verified="true"]').waitFor()
    const out = await tocsin('log', 'verify')
    quiet(page)
    return out.trim().split('\n')[0]
  })
}
