import { words } from '../../lib/lang.svelte'
import { classes, compromiseStates } from '../../incident/words'

export const nodeKinds = words({
  source: ['source', 'source'],
  target: ['device', 'appareil'],
  controller: ['controller', 'contrôleur'],
  network: ['network', 'réseau'],
})

const more = words({
  blocked: ['blocked', 'bloquée'],
  free: ['not blocked', 'non bloquée'],
})

// nodeState says how a node of the graph stands.
export function nodeState(kind: string, state: string): string {
  if (kind === 'target') return compromiseStates.or(state)
  if (kind === 'controller') return classes.or(state)
  return kind === 'source' ? more(state === 'blocked' ? 'blocked' : 'free') : state
}
