// A hub that nobody has told anything: every page says what to do next. And what
// becomes of somebody who guesses passwords at the console itself.

import { accept, signIn } from './arrive.mjs'
import { accessible, assert, call, control, narrow, open, person, quiet, test, until } from './lib.mjs'

export async function fresh() {
  const hub = await control('fresh')
  let page

  await test('a hub with no account says how to get one', async () => {
    const context = await person({ base: hub.base })
    const nobody = await context.newPage()
    await nobody.goto('/')
    await nobody.getByText('Nobody has an account yet').waitFor()
    await nobody.getByText('tocsin users add').first().waitFor()
    await accessible(nobody)
    quiet(nobody)
    page = await accept(context, hub.link.replace(/^https?:\/\/[^/]+/, ''), 'eve')
    quiet(page)
  })
  if (!page) return

  for (const phone of [false, true]) {
    await test(`empty pages say what to do next${phone ? ', on a phone' : ''}`, async () => {
      if (phone) await page.setViewportSize({ width: 390, height: 844 })
      for (const path of ['/', '/campaigns', '/rules', '/sources', '/devices', '/controllers', '/cases', '/compromise', '/settings/tokens', '/settings/passes?owner=home', '/settings/notifications', '/settings/policy', '/settings/hub']) {
        await open(page, path)
        if (!/settings\/(policy|hub)/.test(path)) assert.ok(await page.locator('.empty:visible').count(), `${path} says nothing:\n` + (await page.locator('main').innerText()))
        await accessible(page)
        if (phone) await narrow(page)
      }
      quiet(page)
    })
  }

  await test('who guesses passwords is told to wait, and so is the log', async () => {
    const context = await person({ base: hub.base })
    const guesser = await context.newPage()
    await guesser.goto('/console/')
    await guesser.locator('[data-page="sign-in"]').waitFor()
    await signIn(guesser, 'eve', 'wrong wrong wrong')
    await guesser.getByRole('alert').waitFor()
    const first = await guesser.getByRole('alert').innerText()
    assert.match(first, /password|name/i)
    const autre = await (await person({ base: hub.base, language: 'fr' })).newPage()
    await autre.goto('/console/')
    await autre.locator('[data-page="sign-in"]').waitFor()
    await autre.locator('form input').first().fill('eve')
    await autre.locator('form input[type="password"]').fill('faux faux faux')
    await autre.locator('form button[type="submit"]').click()
    assert.match(await autre.getByRole('alert').innerText(), /^(Le nom ou le mot de passe est faux\.|(Trop d’essais faux|Un autre essai) )/)
    await autre.context().close()
    assert.equal(await guesser.getByLabel('Name', { exact: true }).inputValue(), 'eve', 'the name has to be typed again')
    const told = await until('to be told to wait', async () => {
      const r = await call(guesser, 'POST', '/v1/session', { name: 'eve', password: 'wrong wrong wrong' })
      return r.status === 429 && r.value.error
    })
    await signIn(guesser, 'eve', 'wrong wrong wrong')
    await until('the page to say so', async () => (await guesser.getByRole('alert').innerText()) !== first)
    await accessible(guesser)
    quiet(guesser)
    const log = await call(page, 'GET', '/v1/tables/log?q=eve')
    assert.ok(JSON.stringify(log.value.rows).includes('refused'), JSON.stringify(log.value.rows).slice(0, 500))
    await context.close()
    return told
  })
}
