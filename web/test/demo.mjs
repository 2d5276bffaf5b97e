// The demo, as somebody who tries it sees it: the story on the page, live, and an attack
// with campaigns, a controller and entered devices to look at.

import { signIn } from './arrive.mjs'
import { campaigns } from './incident.mjs'
import { asPerson } from './look.mjs'
import { accessible, assert, call, control, narrow, open, person, quiet, settled, test, until } from './lib.mjs'

// begin starts a demo, which lives its story while other tests run.
export const begin = () => control('demo')

export async function demo(started) {
  const at = await started
  const context = await person({ base: at.base })
  const page = await context.newPage()

  await test('the demo tells its story on the page, to its end', async () => {
    await page.goto('/')
    await page.locator('[data-page="sign-in"]').waitFor()
    await signIn(page, at.name, at.password)
    await page.locator('[data-page="overview"]').waitFor()
    const told = await until('the end of the story', async () => {
      const { value } = await call(page, 'GET', '/v1/demo')
      return value.summary && value
    }, 150_000)
    assert.ok(told.stages.length >= 5, JSON.stringify(told.stages))
    const last = told.stages.at(-1)
    await until('the last caption', async () => (await page.locator('body').innerText()).includes(last.en.slice(0, 40)))
    quiet(page)
    return `${told.stages.length} stages; the last: ${last.clock} ${last.en}`
  })

  await test('a demo refuses ordinary devices, and says so', async () => {
    await open(page, '/devices/enrol', 'enrol')
    await page.getByText('refuses ordinary devices').waitFor()
    quiet(page)
  })

  await test('what came of a demo is told in French, too', async () => {
    const other = await asPerson(page, { language: 'fr', base: at.base })
    await open(other, '/')
    await other.getByRole('button', { name: 'Ce qui en est sorti' }).click()
    const text = await other.locator('[data-demo-summary]').innerText()
    assert.match(text, /après le début de l’attaque/)
    const { value } = await call(other, 'GET', '/v1/demo')
    for (const s of [...value.summary.not_shown, ...value.summary.rows.flatMap((r) => [r.what.trim(), r.how])]) assert.ok(!text.includes(s), s)
    quiet(other)
    await other.context().close()
  })

  await campaigns(page)

  const { value } = await call(page, 'GET', '/v1/tables/campaigns?sort=sources&desc=1&size=1')
  const campaign = '/campaigns/' + encodeURIComponent(value.rows[0].id)
  const pages = ['/', campaign, campaign + '?view=sources', campaign + '?view=devices', campaign + '?view=history', '/controllers', '/compromise', '/cases']
  for (const [name, how] of Object.entries({ light: {}, dark: { dark: true }, 'on a phone': { phone: true, dark: true, language: 'fr' } })) {
    await test(`pages full of an attack, ${name}`, async () => {
      const other = await asPerson(page, { ...how, base: at.base })
      for (const path of pages) {
        await open(other, path)
        await accessible(other)
        if (how.phone) await narrow(other)
        quiet(other)
      }
      await other.context().close()
    })
  }

  await test('the demo is paused, and goes on', async () => {
    const r = await call(page, 'POST', '/v1/demo', { paused: true })
    assert.ok(r.status < 300, JSON.stringify(r))
    const before = (await call(page, 'GET', '/v1/demo')).value
    assert.equal(before.paused, true)
    await call(page, 'POST', '/v1/demo', { paused: false })
    assert.equal((await call(page, 'GET', '/v1/demo')).value.paused, false)
  })
  await context.close()
}
