// Devices: enrolled by the command that the page shows, named, labelled, grouped,
// suspected, revoked; their state and their evidence.

import { assert, call, control, open, quiet, settled, test, until } from './lib.mjs'

export async function devices({ admin: page, viewer }) {
  let id, enrol

  await test('a device is enrolled by the command that the page shows', async () => {
    await open(page, '/devices', 'devices')
    await page.getByRole('link', { name: 'Enrol a device' }).first().click()
    await page.getByLabel('Owner').fill('home')
    await page.getByLabel(/^Groups/).fill('cellar, spare')
    await page.getByRole('button', { name: 'Make a token' }).click()
    const command = (await page.locator('[data-command]').innerText()).trim()
    assert.match(command, /^tocsin enroll \S{40,}$/)
    const code = page.locator('section', { hasText: 'QR code' }).locator('svg').last()
    const box = await code.boundingBox()
    assert.ok(box && box.width >= 200 && Math.abs(box.width - box.height) < 3, 'no QR code to be scanned: ' + JSON.stringify(box))
    await page.getByText('waiting for the device').waitFor()
    enrol = command.split(' ').slice(1)
    const joined = await control('join', { name: 'spare', args: enrol })
    await page.getByText('It joined').waitFor()
    await page.getByRole('link', { name: 'spare' }).click()
    await page.locator('[data-page="device"]').waitFor()
    await settled(page)
    id = joined.id
    assert.ok(page.url().endsWith(encodeURIComponent(id)))
    const text = await page.locator('main').innerText()
    for (const word of ['home', 'cellar', 'spare']) assert.ok(text.includes(word), `${word} is missing:\n${text}`)
    quiet(page)
  })
  if (!id) return

  await test('a token works once', async () => {
    const { out } = await control('rejoin', { name: 'again', args: enrol })
    assert.match(out, /used before, or too old/)
  })

  await test('a device is named, grouped and labelled', async () => {
    await open(page, '/devices/' + id, 'device')
    await page.getByRole('button', { name: /^Edit/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('grandma’s NAS')
    await dialog.getByLabel('Groups').fill('family')
    await dialog.getByLabel('Labels').fill('room=cellar\nmodel=TS-231')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await until('the new name', async () => (await page.locator('h1').innerText()).includes('grandma’s NAS'))
    await page.getByRole('button', { name: /^Edit/ }).click()
    await dialog.getByLabel('Labels').fill('no label at all')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.getByRole('alert').waitFor()
    assert.equal(await dialog.getByLabel('Labels').inputValue(), 'no label at all')
    await page.keyboard.press('Escape')
    await open(viewer, '/devices?group=family', 'devices')
    assert.match(await viewer.locator('[data-table="devices"]').innerText(), /grandma’s NAS[\s\S]*TS-231/)
    quiet(page, viewer)
  })

  await test('a device is suspected, and trusted again', async () => {
    await open(page, '/devices/' + id, 'device')
    await page.getByRole('button', { name: /^Suspect/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
    await page.getByText('its word binds nobody').waitFor()
    await page.getByRole('button', { name: /^Trust/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
    await page.getByText('its word binds nobody').waitFor({ state: 'hidden' })
    quiet(page)
  })

  await test('a device is revoked only by who types its name', async () => {
    await open(page, '/devices/' + id, 'device')
    await page.getByRole('button', { name: /^Revoke/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel(/its name/).fill('another')
    await dialog.getByRole('button', { name: 'Revoke' }).click()
    await dialog.getByRole('alert').waitFor()
    await dialog.getByLabel(/its name/).fill('grandma’s NAS')
    await dialog.getByRole('button', { name: 'Revoke' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await until('it to be revoked', async () => /revoked/.test(await page.locator('main').innerText()))
    quiet(page)
  })

  await test('an entered device shows its evidence', async () => {
    const { value } = await call(page, 'GET', '/v1/tables/compromise?state=confirmed&size=1')
    assert.ok(value.total > 0, JSON.stringify(value))
    await open(page, '/compromise', 'compromise')
    await page.locator('[data-table="compromise"] tbody tr').first().waitFor()
    await open(page, '/devices/' + encodeURIComponent(value.rows[0].device), 'device')
    const text = await page.locator('section', { has: page.locator('#evidence') }).innerText()
    assert.match(text, /entered[\s\S]*let in/)
    assert.match(text, /[0-9a-f]{12}/, 'no hash of the evidence')
    quiet(page)
  })

  await test('what a device reads, enforces and lags is shown', async () => {
    await open(page, '/devices?sort=name', 'devices')
    const row = page.locator('[data-table="devices"] tbody tr', { hasText: 'nas-0001' })
    assert.match(await row.innerText(), /connected|lagging/) // a long list travels by rings
    await row.getByRole('link').first().click()
    await page.locator('[data-page="device"]').waitFor()
    await settled(page)
    for (const word of ['Serial enforced', 'Clock', 'Services read', 'Certificate until']) await page.locator('main').getByText(word, { exact: true }).first().waitFor()
    quiet(page)
  })
}
