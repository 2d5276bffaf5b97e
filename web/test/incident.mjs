// An attack answered: campaigns, the controller, the case with its letter, the
// notices to owners.

import { accessible, assert, call, control, open, quiet, settled, test, until, world } from './lib.mjs'

export async function incident({ admin, analyst }) {
  await takedown({ admin, analyst })
  await notices({ analyst })
}

// campaigns needs some with sources that act together: the demo's.
export async function campaigns(page) {
  await test('from the list of campaigns to why a source belongs', async () => {
    await open(page, '/campaigns?sort=sources&desc=1', 'campaigns')
    const rows = page.locator('[data-table="campaigns"] tbody tr')
    await rows.first().getByRole('link').first().click()
    await page.locator('[data-page="campaign"]').waitFor()
    await settled(page)
    await page.locator('svg[role="group"] a').first().waitFor()
    assert.ok((await page.locator('main canvas').count()) > 0, 'no timeline is drawn')
    await page.getByRole('navigation', { name: 'Parts of this page' }).getByRole('link', { name: /^Sources/ }).click()
    await page.locator('[data-table="members"] tbody tr').first().waitFor()
    const text = await page.locator('[data-table="members"]').first().innerText()
    assert.match(text, /Why it belongs[\s\S]*%/)
    quiet(page)
  })

  await test('the graph is used by the keyboard, and said as a table', async () => {
    await open(page, '/campaigns?sort=sources&desc=1', 'campaigns')
    await page.locator('[data-table="campaigns"] tbody tr').first().getByRole('link').first().click()
    const nodes = page.locator('svg[role="group"] a')
    await nodes.first().waitFor()
    await page.locator('svg[role="group"] a[tabindex="0"]').focus()
    const label = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label'))
    const first = await label()
    await page.keyboard.press('ArrowRight')
    const second = await label()
    assert.ok(first && second && first !== second, `${first} → ${second}`)
    await page.keyboard.press('Enter')
    await until('the page of what the node stands for', () => /\/(about|devices|controllers)\//.test(page.url()))
    await page.goBack()
    await nodes.first().waitFor()
    await page.getByRole('button', { name: 'As a table' }).click()
    await page.locator('caption', { hasText: 'Graph' }).waitFor({ state: 'attached' })
    quiet(page)
  })

  await test('a source of a campaign is blocked from where it is listed', async () => {
    await open(page, '/campaigns?sort=sources&desc=1', 'campaigns')
    const href = await page.locator('[data-table="campaigns"] tbody tr').first().getByRole('link').first().getAttribute('href')
    await page.goto(href + '?view=sources')
    await settled(page)
    const button = page.getByRole('button', { name: /^Block [0-9]/ }).first()
    const address = (await button.getAttribute('aria-label')).replace('Block ', '')
    await button.click()
    const dialog = page.getByRole('dialog')
    assert.equal(await dialog.getByLabel('Address or prefix').inputValue(), address)
    await dialog.getByLabel('Reason').fill('of the campaign')
    await dialog.getByRole('button', { name: 'Block' }).click()
    await dialog.waitFor({ state: 'hidden' })
    const { value } = await call(page, 'GET', `/v1/tables/rules?q=${address.split('/')[0]}&origin=operator`)
    assert.ok(value.total > 0)
    quiet(page)
  })
}

async function takedown({ admin, analyst }) {
  const [address, port] = world.controller.split(':')
  let path

  await test('the controller is ranked first, with its numbers', async () => {
    await open(analyst, '/controllers', 'controllers')
    const row = analyst.locator('[data-table="controllers"] tbody tr').first()
    assert.ok((await row.innerText()).includes(address), await row.innerText())
    await row.getByRole('link').first().click()
    await analyst.locator('[data-page="controller"]').waitFor()
    await settled(analyst)
    assert.match(await analyst.locator('main').innerText(), new RegExp(`${address}[\\s\\S]*Score`))
    quiet(analyst)
  })

  await test('a case is opened, and its letter drafted and read', async () => {
    await open(analyst, `/controllers/${address}/${port}`, 'controller')
    await analyst.getByRole('button', { name: 'Open a case' }).click()
    const dialog = analyst.getByRole('dialog')
    assert.equal(await dialog.getByLabel('Address', { exact: true }).inputValue(), address)
    await dialog.getByLabel('Reason').fill('first in the ranking')
    await dialog.getByRole('button', { name: 'Open a case' }).click()
    await analyst.locator('[data-page="case"]').waitFor()
    await settled(analyst)
    path = new URL(analyst.url()).pathname.replace('/console', '')
    const write = analyst.getByRole('button', { name: /^Write (the letter|it anew)/ })
    await write.first().click()
    await dialog.getByRole('button', { name: /^Write/ }).click()
    await dialog.waitFor({ state: 'hidden' })
    await analyst.locator('#letter .letter').waitFor()
    const text = await analyst.locator('#letter').innerText()
    for (const word of [world.provider, address, 'X-ARF']) assert.ok(text.includes(word), `${word} is missing:\n${text}`)
    for (const name of [world.owner, world.device]) assert.ok(!text.includes(name), `the letter names ${name}`)
    quiet(analyst)
  })
  if (!path) return

  await test('nothing is sent that two people did not approve; what arrives is what they read', async () => {
    const send = await call(analyst, 'POST', `/v1${path}/send`, { by_hand: false })
    assert.ok(send.status >= 400 && send.value.error, JSON.stringify(send))
    const letter = (await call(analyst, 'GET', '/v1' + path)).value.draft.letter
    for (const page of [analyst, admin]) {
      await open(page, path, 'case')
      await page.getByRole('button', { name: 'Approve this letter' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Approve this letter' }).click()
      await page.getByRole('dialog').waitFor({ state: 'hidden' })
      if (page === analyst) {
        await page.getByText('a second person has to').first().waitFor()
        assert.equal(await page.getByRole('button', { name: 'Send it now' }).count(), 0)
      }
    }
    await admin.getByRole('button', { name: 'Send it now' }).click()
    await admin.getByRole('dialog').getByRole('button', { name: 'Send it now' }).click()
    await admin.getByText(`The letter left for ${world.provider}`).waitFor()
    const arrived = await until('the letter', async () => (await control('letters')).find((l) => l.to === world.provider))
    assert.equal(arrived.subject, letter.subject)
    const raw = arrived.raw.replace(/=\r?\n/g, '')
    for (const line of letter.text.split('\n').filter((l) => /^[a-zA-Z0-9 ,.:/-]{20,60}$/.test(l)).slice(0, 5)) assert.ok(raw.includes(line), `what arrived lacks “${line}”`)
    quiet(admin, analyst)
  })

  await test('a case is noted in, escalated, answered, and printed', async () => {
    await open(analyst, path, 'case')
    await analyst.getByRole('button', { name: 'Add a note' }).click()
    const dialog = analyst.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('called them <b>by telephone</b>')
    await dialog.getByRole('button', { name: 'Add a note' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await analyst.getByText('called them <b>by telephone</b>').waitFor()
    for (const act of ['Note an escalation', 'The provider answered', 'The provider acted']) {
      await analyst.getByRole('button', { name: act }).click()
      if (await dialog.getByLabel('Reason').count()) await dialog.getByLabel('Reason').fill('by telephone')
      await dialog.getByRole('button', { name: act }).click()
      await dialog.waitFor({ state: 'hidden' })
    }
    const href = await analyst.getByRole('link', { name: 'Print view' }).getAttribute('href')
    const print = await analyst.context().newPage()
    await print.goto(href)
    assert.match(await print.locator('body').innerText(), /called them <b>by telephone<\/b>/)
    quiet(analyst, print)
    await print.close()
    await open(analyst, '/cases', 'cases')
    assert.ok((await analyst.locator('[data-table="cases"]').innerText()).includes(address))
  })

  await test('what left and what came back is read again, as text', async () => {
    const { value } = await call(analyst, 'GET', '/v1' + path + '/letters')
    assert.equal(value.sent.length, 1)
    const answer = `From: abuse@provider.example\r\nMessage-ID: <a1@provider.example>\r\nIn-Reply-To: <${value.sent[0].message_id}>\r\nSubject: Re: <i>report</i>\r\n\r\n<b>We have taken it down.</b>\r\n`
    const taken = await analyst.evaluate((body) => fetch('/v1/cases/answer', { method: 'POST', body, headers: { 'Content-Type': 'message/rfc822' } }).then((r) => r.status), answer)
    assert.equal(taken, 200)
    await open(analyst, path, 'case')
    await analyst.getByText('Read it as it left').click()
    const text = await analyst.getByRole('group', { name: 'Text of the letter' }).innerText()
    for (const line of value.sent[0].letter.text.split('\n').filter((l) => l.trim()).slice(0, 8)) assert.ok(text.includes(line.trim()), `what is read lacks “${line}”`)
    await analyst.locator('#answers').getByText('<b>We have taken it down.</b>').waitFor()
    await analyst.locator('#answers').getByText('Re: <i>report</i>').waitFor()
    await accessible(analyst)
    quiet(analyst)
  })
}

async function notices({ analyst: page }) {
  await test('a notice to an owner is read, and approved as it is read', async () => {
    await open(page, '/notices?kind=notice', 'notices')
    await page.locator('[data-table="notices"] tbody tr').first().getByRole('link').first().click()
    await page.locator('[data-page="notice"]').waitFor()
    await settled(page)
    await page.getByRole('button', { name: 'Approve this text' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Approve this text' }).click()
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    await page.getByText('Approved by anton').waitFor()
    await page.getByRole('link', { name: 'Markdown' }).click()
    await settled(page)
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()])
    assert.match(download.suggestedFilename(), /^notice-.*\.md$/)
    quiet(page)
  })
}
