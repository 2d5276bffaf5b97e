// What the hub answers, as its OpenAPI document describes it.

export interface Now {
  at: string
  attempts: number
  sources: number
  blocks: number
  devices: number
  connected: number
  lagging: number
  silent: number
  coverage: number
  suspected: number
  confirmed: number
  unknown: number
  campaigns_open: number
  cases_open: number
  last_minute: { attempts: number; sources: number; blocks: number }
}

export interface LiveRule {
  at: string
  prefix: string
  action: string
  owner?: string
  origin: string
  until?: string
  reason?: string
  verb: 'decided' | 'withdrawn' | 'refused'
  more?: number
}

export interface Estimate {
  value: number
  low: number
  high: number
}

export interface CampaignLine {
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
  sources: number
  targets: number
  services: string[]
  shared?: boolean
}

export interface DemoClock {
  speed: number
  paused: boolean
  now: string
  seed: number
}

export interface Story {
  n: number
  stage: string
  at: string
  clock: string
  en: string
  fr: string
  measured: Record<string, unknown>
}

export interface TablePage<R> {
  rows: R[]
  total: number
  all: number
  page: number
  size: number
}
