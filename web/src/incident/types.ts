// What the hub answers about an incident, as its OpenAPI document describes it.

import type { Estimate } from '../lib/types'

export interface Member {
  source: string
  first: string
  last: string
  attempts: number
  devices: number
  confidence: number
  reasons: string[]
  network?: number // of rows of the table
  country?: string
  blocked?: boolean
}

export interface Campaign {
  id: string
  status: string
  opened: string
  first: string
  last: string
  ended?: string
  into?: string
  confidence: number
  size: Estimate
  attempts: number
  dropped: number
  sources: Member[]
  targets: string[]
  services: string[]
  accounts: string[]
  shared?: boolean
  timeline: { at: string; text: string }[]
  unattributed?: Member[]
  counts: { sources: number; targets: number; unattributed: number; timeline: number }
}

export interface Timeline {
  step: number
  at: number[]
  attempts: (number | null)[]
  dropped: (number | null)[]
  sources: (number | null)[]
  marks: { at: string | number; kind: string; text_en: string; text_fr: string }[]
}

export interface Network {
  number: number
  name: string
  country: string
  sources: number
  attempts: number
}

export interface Target {
  device: string
  name: string
  owner: string
  attempts: number
  services: string[]
  sources: number
  first: string | null // null: no longer remembered
  last: string | null
  entered: string
}

export interface Node {
  id: string
  kind: 'source' | 'target' | 'controller' | 'network'
  label: string
  weight: number
  state: string
}

export interface Edge {
  from: string
  to: string
  kind: 'guessed' | 'contacted' | 'belongs'
  weight: number
}

export interface Graph {
  nodes: Node[]
  edges: Edge[]
  left_out: { sources?: number; targets?: number }
}

export interface Candidate {
  address: string
  port: number
  protocol: number
  class: string
  q: number
  score: number
  admitted: boolean
  devices: number
  labelled: number
  strata: number
  first: string
  last: string
  p_prevalence: number
  p_precedence: number
  regularity: number
  rarity: number
  gates: [number, number, number]
  ratio: Estimate
  reasons?: string[]
  owners: number
  may_propose: boolean
  p_regularity: number
  p: number
  timed: number
  before: number
  rank?: number // of rows of the table
  case?: string | null
}

export interface Opening {
  id: string
  kind: string
  source: string
  port?: number
  protocol?: number
  domain?: string
  campaign?: string
  reasons?: string[]
}

export interface Ranking {
  candidates: Candidate[]
  omitted?: number
  proposals?: Opening[]
  observed: number
  devices: number
  labelled: number
  lacking?: string
}

export interface Period {
  from: string
  to: string
}

export interface Entry {
  fact: string
  group: string
  nats: number
  at: string
  device: string
  subject?: string
  source?: string
  to?: string
  digest: string
  rule: string
  hearsay?: boolean
  closed?: boolean
}

export interface Assessed {
  device: string
  state: string
  p: number
  attack: { sources: number; attempts: number; first?: string; last?: string }
  covered: boolean
  missing?: ({ why: string } & Period)[]
  ledger?: Entry[]
  omitted?: number
  closing?: { at: string; by: string; reason: string; seen: string[]; more?: boolean }
  name?: string
  owner?: string
  why?: string
}

export interface Summary extends Period {
  rule: string
  devices: number
  states: Record<string, number>
  attacked: number
  covered: number
  coverage: number
  confirmed_covered: number
  share: Estimate
  uncovered?: { why: string; devices: number }[]
}

export interface Compromise {
  at: string
  summary: Summary
  devices: Assessed[]
}

export interface Proposal {
  step: string
  due: string
}

export interface Clock {
  now: string
  sent?: string
  elapsed_ns?: number
  due?: Proposal[]
  next?: Proposal[]
  deadline?: string
  verdict: string
}

export interface CaseLine {
  id: string
  kind: string
  source: string
  port?: number
  protocol?: number
  domain?: string
  campaign?: string
  state: string
  ready?: boolean
  opened: string
  closed?: string
  clock: Clock
}

export interface Mail {
  source: string
  provider: string
  to: string
  message_id?: string
  form?: boolean
  at: string
  delivered?: string
  bounced?: string
  digest?: string
}

export interface Vantage {
  device: string
  owner: string
  last: string
  from: string
  until: string
}

export interface HistoryEntry {
  at: string
  by: string
  act: string
  why?: string
  digest?: string
  people?: number
  mail?: Mail
  message_id?: string
  step?: string
  proof?: { witnesses: Vantage[]; qualified: number; owners: number }
  seen?: string
}

export interface Case extends Opening {
  state: string
  opened: string
  round: string
  text?: string
  approvals?: { by: string; at: string }[]
  ready?: boolean
  sent?: string
  bounced?: string
  acknowledged?: string
  acted?: string
  down?: string
  closed?: string
  mails?: Mail[]
  steps?: string[]
  history: HistoryEntry[]
}

export interface CaseContact {
  mails?: string[]
  found?: string
  name?: string
  holder?: string
  country?: string
  network?: string
  forms?: string[]
  others?: string[]
  remarks?: string[]
  notes?: string[]
  at: string
  stale?: boolean
}

export interface Letter {
  to: string
  subject: string
  text: string
  report?: string
}

export interface SentLetter {
  at: string
  message_id?: string
  by_hand: boolean
  language?: string
  digest: string
  letter: Letter
}

export interface CaseAnswer {
  at: string
  kind: string
  from: string
  subject: string
  written?: string
  text: string
  cut: boolean
}

export interface CaseLetters {
  sent: SentLetter[]
  answers: CaseAnswer[]
}

export interface CaseDraft {
  at: string
  language: string
  letter: Letter
  gap?: string
  digest: string
  approved: boolean
}

export interface CaseFile {
  case: Case
  clock: Clock
  contact?: CaseContact
  draft?: CaseDraft
}

export interface Notice {
  kind: string
  language: string
  to?: string
  subject: string
  plain: string
  markdown: string
  approval?: { by: string; at: string; digest: string }
  digest: string
  ready: boolean
}
