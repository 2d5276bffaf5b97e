// Every number that counts something leads to what it counts.

import { assert, open, quiet, settled, test, world } from './lib.mjs'
import { everyPage } from './look.mjs'

export async function counts({ admin, analyst }) {
  const pages = await everyPage(admin)
  const [address, port] = world.controller.split(':')
  pages.push(`/controllers/${address}/${port}`, '/controllers/flows', `/compromise/${world.device}`, ...pages.filter((p) => /^\/campaigns\/./.test(p)).flatMap((p) => [p + '?view=sources', p + '?view=devices']))
  await test('no number that counts something stands alone', async () => {
    for (const path of pages) {
      await open(admin, path)
      const alone = await admin.locator('main [data-count]').evaluateAll((list) => list.filter((e) => !e.closest('a')).map((e) => e.parentElement.textContent.trim()))
      assert.deepEqual(alone, [], path)
    }
    quiet(admin)
  })

  await test('the devices of a controller are as many as it counts', async () => {
    await open(admin, `/controllers/${address}/${port}`, 'controller')
    const number = admin.locator('main dl a.num[href*="/devices?controller="]').first()
    const want = Number(await number.innerText())
    await number.click()
    await admin.locator('[data-page="devices"]').waitFor()
    await settled(admin)
    const shown = await admin.locator('[data-table="devices"] [role="status"]').innerText()
    assert.match(shown, new RegExp(`of ${want}$`))
    quiet(admin)
  })

  await test('flow records are imported, and what became of them is said', async () => {
    await open(analyst, '/controllers/flows', 'flows')
    const text = '#separator \\x09\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n1696000000.0\t192.0.2.250\t4000\t203.0.113.9\t443\ttcp\nnonsense\n'
    await analyst.getByLabel('File').setInputFiles({ name: 'conn.log', mimeType: 'text/plain', buffer: Buffer.from(text) })
    await analyst.getByRole('button', { name: 'Import' }).click()
    await analyst.getByText('Imported', { exact: true }).waitFor()
    assert.match(await analyst.locator('main').innerText(), /Lines not understood\s+1[\s\S]*line 4/)
    await analyst.getByLabel('File').setInputFiles({ name: 'x.log', mimeType: 'text/plain', buffer: Buffer.from('no log at all\n') })
    await analyst.getByRole('button', { name: 'Import' }).click()
    await analyst.getByText('not a conn.log of Zeek').waitFor()
    quiet(analyst)
  })
}
