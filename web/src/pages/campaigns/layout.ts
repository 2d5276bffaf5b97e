// Where the nodes of a graph stand: sources to the left, devices in the middle,
// what commands them to the right; within that, what is joined pulls together.

import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY, type Simulation, type SimulationLinkDatum, type SimulationNodeDatum } from 'd3-force'
import type { Graph, Node } from '../../incident/types'

export interface Placed extends Node, SimulationNodeDatum {
  x: number
  y: number
  r: number
}

export const width = 1000
export const height = 560
const column: Record<Node['kind'], number> = { network: 130, source: 300, target: 620, controller: 880 }

// place returns the nodes where they begin: in columns, the heaviest in the middle.
export function place(g: Graph): Placed[] {
  const most: Record<string, number> = {}
  for (const n of g.nodes) most[n.kind] = Math.max(most[n.kind] ?? 1, n.weight)
  const rows: Record<string, Placed[]> = {}
  const all = g.nodes.map((n): Placed => {
    const size = Math.sqrt(Math.max(n.weight, 0) / most[n.kind])
    const r = n.kind === 'controller' ? 13 : n.kind === 'network' ? 7 + 6 * size : n.kind === 'target' ? 6 + 6 * size : 3.5 + 6 * size
    const p = { ...n, r, x: column[n.kind] ?? 500, y: height / 2 }
    ;(rows[n.kind] ??= []).push(p)
    return p
  })
  for (const list of Object.values(rows)) {
    const step = Math.min(40, (height - 60) / Math.max(1, list.length))
    list.forEach((p, i) => {
      p.y = height / 2 + (i % 2 ? 1 : -1) * Math.ceil(i / 2) * step
      p.x += ((i * 7919) % 61) - 30 // the same at every look
    })
  }
  return all
}

// simulation moves them until it rests.
export function simulation(nodes: Placed[], g: Graph): Simulation<Placed, SimulationLinkDatum<Placed>> {
  const known = new Set(nodes.map((n) => n.id))
  const links = g.edges.filter((e) => known.has(e.from) && known.has(e.to)).map((e) => ({ source: e.from, target: e.to }))
  const degree = new Map<string, number>()
  for (const l of links) for (const k of [l.source, l.target]) degree.set(k, (degree.get(k) ?? 0) + 1)
  return forceSimulation(nodes)
    .force('x', forceX<Placed>((n) => column[n.kind] ?? 500).strength((n) => (n.kind === 'network' ? 1 : 0.35)))
    .force('y', forceY<Placed>(height / 2).strength((n) => (n.kind === 'controller' ? 0.1 : 0.015)))
    .force('apart', forceManyBody<Placed>().strength((n) => -10 - n.r * (n.kind === 'target' ? 9 : 2.5)).distanceMax(300))
    .force('beside', forceCollide<Placed>((n) => n.r + (n.kind === 'network' ? 6 : 2.5)))
    .force(
      'joined',
      forceLink<Placed, SimulationLinkDatum<Placed>>(links)
        .id((n) => n.id)
        .distance(180)
        .strength((l) => 0.25 / Math.min(degree.get((l.source as Placed).id) ?? 1, degree.get((l.target as Placed).id) ?? 1)),
    )
    .alphaDecay(0.035)
    .stop()
}

// inside keeps a node within the picture.
export function inside(n: Placed) {
  n.x = Math.min(width - n.r - 4, Math.max(n.r + 4, n.x))
  n.y = Math.min(height - n.r - 4, Math.max(n.r + 4, n.y))
}

// shape draws a node of a kind, so that its kind is known without its colour.
export function shape(kind: Node['kind'], x: number, y: number, r: number): string {
  const m = (...p: [number, number][]) => 'M' + p.map(([a, b]) => `${(x + a * r).toFixed(1)} ${(y + b * r).toFixed(1)}`).join('L') + 'Z'
  switch (kind) {
    case 'target':
      return m([-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9])
    case 'controller':
      return m([0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0])
    case 'network':
      return m([0, -1.1], [1.05, 0.8], [-1.05, 0.8])
  }
  const f = (v: number) => v.toFixed(1)
  return `M${f(x - r)} ${f(y)}a${f(r)} ${f(r)} 0 1 0 ${f(2 * r)} 0a${f(r)} ${f(r)} 0 1 0 ${f(-2 * r)} 0Z`
}
