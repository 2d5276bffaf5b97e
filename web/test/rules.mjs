// The overview live; rules: searched, explained, ordered, imported, exported; what
// every table does.

import { readFileSync } from 'node:fs'
import { assert, call, control, open, quiet, settled, test, until } from './lib.mjs'
import { fillOrder } from './endure.mjs'

// guessed is what sshd writes when somebody guesses.
export const guessed = (address, n = 6) => Array.from({ length: n }, (_, i) => `Failed password for ${['root', 'admin', 'test', 'oracle', 'guest', 'pi'][i % 6]} from ${address} port ${4000 + i} ssh2`)

export async function rules({ admin, viewer, analyst }) {
  await live({ admin })
  await orders({ analyst, viewer })
  await imports({ analyst })
  await tables({ admin })
}

// appears has the page note by its own clock when a text is there.
function appears(page, text) {
  return page.evaluate(
    (text) =>
      new Promise((done) => {
        const look = () => document.querySelector('main').innerText.includes(text) && (watcher.disconnect(), done(Date.now()))
        const watcher = new MutationObserver(look)
        watcher.observe(document.body, { childList: true, subtree: true, characterData: true })
        look()
      }),
    text,
  )
}

async function live({ admin }) {
  await test('a block is on the page within a second of being decided', async () => {
    await open(admin, '/', 'overview')
    await admin.locator('[data-live="on"]').waitFor({ state: 'attached' })
    const took = []
    for (let i = 0; i < 5; i++) {
      const address = `203.0.113.${100 + i}`
      const seen = appears(admin, address)
      const written = Date.now()
      await control('say', { lines: guessed(address) })
      took.push((await seen) - written)
    }
    assert.ok(Math.max(...took) <= 1000, took.join(', '))
    quiet(admin)
    return `from the lines in a device’s log to the block on the page: ${took.join(', ')} ms`
  })

  await test('every number of the overview leads to what it counts', async () => {
    await open(admin, '/', 'overview')
    const links = await admin.locator('main a[href]').evaluateAll((list) => [...new Set(list.map((a) => a.getAttribute('href')))])
    assert.ok(links.length >= 8, links.join(' '))
    for (const href of links) {
      await admin.goto(href)
      await settled(admin)
      assert.equal(await admin.locator('[data-page="missing"]').count(), 0, href)
      assert.equal(await admin.locator('main .failure').count(), 0, href + ': ' + (await admin.locator('main').innerText()).slice(0, 300))
    }
    quiet(admin)
  })

  await test('spans of the overview are addresses', async () => {
    await open(admin, '/', 'overview')
    await admin.getByRole('group', { name: 'Time shown' }).getByRole('button').first().click()
    assert.match(admin.url(), /span=1h/)
    await admin.goBack()
    assert.doesNotMatch(admin.url(), /span=/)
  })
}

async function orders({ analyst, viewer }) {
  await test('an address is searched, and all that is known of it shown', async () => {
    await open(viewer, '/rules', 'rules')
    await viewer.getByLabel('See everything known about an address').fill('203.0.113.100')
    await viewer.getByRole('button', { name: 'Look up' }).click()
    await viewer.locator('[data-page="about"]').waitFor()
    await settled(viewer)
    const text = await viewer.locator('main').innerText()
    for (const word of ['blocked', 'home', 'ssh', 'root']) assert.ok(text.includes(word), `${word} is missing:\n${text}`)
    quiet(viewer)
  })

  await test('an address is blocked, unblocked and allowed, each with its reason', async () => {
    const page = analyst
    await open(page, '/rules', 'rules')
    await fillOrder(page, 'Block', '203.0.113.150', 'seen at a customer')
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('For how long').selectOption({ label: 'a day' })
    await dialog.getByRole('button', { name: 'Block' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await until('it in the table', async () => (await page.locator('[data-table="rules"]').innerText()).includes('203.0.113.150'))
    await open(page, '/about/203.0.113.150', 'about')
    await page.getByText('seen at a customer').first().waitFor()

    await page.getByRole('button', { name: /^Unblock/ }).click()
    await dialog.getByLabel('Reason').fill('it is a partner')
    await dialog.getByRole('button', { name: 'Unblock' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await page.getByText('not blocked').waitFor()

    await page.getByRole('button', { name: /^Allow/ }).click()
    await dialog.getByLabel('Reason').fill('a partner for good')
    await dialog.getByRole('button', { name: 'Allow' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await page.getByText('a partner for good').first().waitFor()
    quiet(page)
  })

  await test('an order that cannot be is refused in place, and what was typed stays', async () => {
    const page = analyst
    await open(page, '/rules', 'rules')
    for (const bad of ['not an address', '10.0.0.0/8', '203.0.113.0/33']) {
      const dialog = await fillOrder(page, 'Block', bad, 'why not')
      await dialog.getByRole('button', { name: 'Block' }).click()
      await dialog.getByRole('alert').waitFor()
      assert.equal(await dialog.getByLabel('Address or prefix').inputValue(), bad)
      assert.ok((await dialog.getByRole('alert').innerText()).length > 15)
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'hidden' })
    }
    quiet(page)
  })
}

async function imports({ analyst: page }) {
  const list = '# a list\n198.51.100.1\n198.51.100.1\n198.51.100.2, scanner\n\n300.1.1.1\n198.51.100.0/24\n<script>alert(1)</script>\n10.0.0.0/8\n2001:db8:7::1\n'

  await test('a list is checked before it is imported', async () => {
    await open(page, '/rules/import', 'import')
    await page.getByLabel('Or the list itself').fill(list)
    await page.getByLabel('Reason').fill('a list from a friend')
    await page.getByRole('button', { name: 'Check only' }).click()
    await page.getByText('Checked, nothing changed').waitFor()
    const text = await page.locator('main').innerText()
    for (const word of ['300.1.1.1', '<script>', '10.0.0.0/8']) assert.ok(text.includes(word), `${word} is not told:\n${text}`)
    const { value } = await call(page, 'GET', '/v1/tables/rules?q=198.51.100.2')
    assert.equal(value.total, 0)
    await page.getByRole('button', { name: 'Import', exact: true }).click()
    await page.getByText('Imported').first().waitFor()
    await until('the rules', async () => (await call(page, 'GET', '/v1/tables/rules?q=198.51.100.2')).value.total > 0)
    quiet(page)
  })

  await test('a huge list is imported, and one that is too long refused', async () => {
    const many = (n) => Array.from({ length: n }, (_, i) => `198.${18 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`).join('\n')
    await open(page, '/rules/import', 'import')
    await page.getByLabel('File').setInputFiles({ name: 'huge.txt', mimeType: 'text/plain', buffer: Buffer.from(many(90_000)) })
    await page.getByLabel('Reason').fill('a huge list')
    const begun = Date.now()
    await page.getByRole('button', { name: 'Import', exact: true }).click()
    await page.locator('[role="status"]').getByText(/90,000/).waitFor({ timeout: 60_000 })
    const took = Date.now() - begun
    await page.getByLabel('File').setInputFiles({ name: 'more.txt', mimeType: 'text/plain', buffer: Buffer.from(many(100_001)) })
    await page.getByRole('button', { name: 'Check only' }).click()
    await page.getByRole('alert').waitFor({ timeout: 30_000 })
    assert.match(await page.getByRole('alert').innerText(), /100,?000/)
    quiet(page)
    return `90,000 lines in ${took} ms`
  })

  await test('lists are exported', async () => {
    await open(page, '/rules/import', 'import')
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Blocklist as text' }).click()])
    const text = readFileSync(await download.path(), 'utf8')
    assert.ok(text.includes('198.51.100.2'), text.slice(0, 300))
    quiet(page)
  })
}

// tables are those of whole pages.
const tables_ = [
  ['/rules', 'rules'], ['/sources', 'sources'], ['/devices', 'devices'], ['/campaigns', 'campaigns'], ['/controllers', 'controllers'],
  ['/compromise', 'compromise'], ['/settings/users', 'users'], ['/log', 'log'],
]

async function tables({ admin: page }) {
  for (const [path, name] of tables_) {
    await test(`the table of ${name} sorts, searches, pages and exports`, async () => {
      await open(page, path + '?size=25')
      const table = page.locator(`[data-table="${name}"]`)
      await table.locator('tbody tr').first().waitFor()
      const cells = (n) => table.locator(`tbody tr td:nth-child(${n + 1})`).allInnerTexts()

      // Sorted both ways, by a column that the hub sorts by.
      const sorts = table.locator('thead th button')
      assert.ok(await sorts.count(), 'no column sorts')
      await sorts.first().click()
      await settled(page)
      const first = await cells(0)
      await sorts.first().click()
      await settled(page)
      assert.equal(await table.locator('th[aria-sort]').count(), 1)
      const rows = await table.locator('tbody tr').count()
      const { value } = await call(page, 'GET', `/v1/tables/${name}?size=1`)
      if (new Set(first).size > 1) assert.notDeepEqual(await cells(0), first, 'the other way round is the same')

      // Paged: no row twice.
      if (value.all > 25) {
        const one = await table.locator('tbody').innerText()
        await table.getByRole('button', { name: 'Next page' }).click()
        await until('the second page', async () => (await table.locator('tbody').innerText()) !== one)
        assert.match(page.url(), /page=2/)
        await page.goBack()
        await until('the first page again', async () => (await table.locator('tbody').innerText()) === one)
      } else assert.equal(rows, value.all)

      // Searched: what nobody has, then everything again.
      await table.getByRole('searchbox').fill('nobody has this')
      await table.getByText('Nothing matches').waitFor()
      await table.getByRole('button', { name: /Clear/ }).click()
      await table.locator('tbody tr').first().waitFor()

      // Exported: all that the filter leaves, beginning with a line of names.
      const [download] = await Promise.all([page.waitForEvent('download'), table.getByRole('link', { name: 'CSV' }).click()])
      const text = readFileSync(await download.path(), 'utf8').trimEnd()
      const lines = text.split('\n').length - 1
      assert.ok(lines >= Math.min(value.all, 25), `${lines} of ${value.all} lines:\n${text.slice(0, 200)}`)
      assert.ok(!/^[=+@-]/m.test(text), 'a cell that a spreadsheet would run')
      quiet(page)
    })
  }

  await test('a table is used by the keyboard alone', async () => {
    await open(page, '/devices', 'devices')
    const rows = page.locator('[data-table="devices"] tbody tr')
    await rows.first().focus()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    assert.equal(await rows.nth(2).evaluate((e) => e === document.activeElement), true)
    await page.keyboard.press('Enter')
    await page.locator('[data-page="device"]').waitFor()
    assert.equal(await page.locator('h1').evaluate((e) => e === document.activeElement), true, 'who follows a link does not begin at its heading')
    quiet(page)
  })

  await test('filters are addresses', async () => {
    await open(page, '/rules', 'rules')
    const table = page.locator('[data-table="rules"]')
    await table.getByRole('button', { name: 'Filters' }).click()
    await table.getByLabel('Origin').selectOption({ value: 'operator' })
    await until('the filter in the address', () => page.url().includes('origin=operator'))
    await settled(page)
    const origins = await table.locator('tbody tr td:nth-child(4)').allInnerTexts()
    assert.ok(origins.length && origins.every((o) => o === origins[0]), origins.join(' '))
    await table.getByRole('button', { name: /Take the filter away/ }).click()
    await until('the filter gone', () => !page.url().includes('origin='))
    quiet(page)
  })
}
