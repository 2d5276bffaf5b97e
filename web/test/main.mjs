// Every page and every action of the console, in a real browser. e2e/console_test.go
// starts it, with the world that it happens in.

import { end, failed, start } from './lib.mjs'
import { arrive } from './arrive.mjs'
import { look } from './look.mjs'
import { counts } from './counts.mjs'
import { rules } from './rules.mjs'
import { devices } from './devices.mjs'
import { incident } from './incident.mjs'
import { settings } from './settings.mjs'
import { begin, demo } from './demo.mjs'
import { endure } from './endure.mjs'
import { fresh } from './fresh.mjs'

const only = (process.env.ONLY ?? '').split(',').filter(Boolean) // for whoever mends one of them
const parts = { rules, devices, incident, counts, settings, endure, fresh, look, demo: () => demo(story) }

await start()
const people = await arrive()
let story
if (people) {
  for (const [name, part] of Object.entries(parts)) {
    if (only.length > 0 && !only.includes(name)) continue
    // The demo lives its story beside what measures no time.
    if (name !== 'rules' && (only.length === 0 || only.includes('demo'))) story ??= begin()
    await part(people)
  }
}
await end()
process.exit(failed() ? 1 : 0)
