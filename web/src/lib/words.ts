// Words of the design that several pages use.

import { words } from './lang.svelte'
import type { Kind } from '../parts/State.svelte'

export const terms = words({
  block: ['block', 'blocage'],
  pass: ['pass', 'passage'],
  allow: ['allow', 'autorisation'],
  device: ['device', 'appareil'],
  fleet: ['fleet', 'flotte'],
  operator: ['operator', 'opérateur'],
  everybody: ['everybody', 'tout le monde'],
  connected: ['connected', 'connecté'],
  silent: ['silent', 'muet'],
  lagging: ['lagging', 'en retard'],
  revoked: ['revoked', 'révoqué'],
  new: ['new', 'nouveau'],
  open: ['open', 'ouverte'],
  ended: ['ended', 'terminée'],
  confirmed: ['entered', 'pénétré'],
  suspected: ['suspected', 'soupçonné'],
  'near-miss': ['attacked, not entered', 'attaqué, non pénétré'],
  clean: ['not attacked', 'non attaqué'],
  unknown: ['unknown', 'inconnu'],
  'false-positive': ['held harmless', 'jugé inoffensif'],
})

const kinds: Record<string, Kind> = {
  connected: 'good', silent: 'bad', lagging: 'warn', revoked: 'idle', new: 'busy',
  block: 'bad', pass: 'good',
  confirmed: 'bad', suspected: 'warn', 'near-miss': 'good', clean: 'good', unknown: 'unknown', 'false-positive': 'idle',
  open: 'bad', ended: 'idle',
}

// kindOf says with which sign a state of devices, rules or compromise is shown.
export const kindOf = (state: string): Kind => kinds[state] ?? 'idle'
