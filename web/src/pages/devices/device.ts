import { duration } from '../../lib/format'
import { t } from './words'

export interface Device {
  id: string
  owner: string
  name?: string
  groups?: string[]
  labels?: Record<string, string>
  honeypot?: boolean
  suspect?: boolean
  enrolled: string
  revoked?: string
  connected: boolean
  seen?: string
  version?: string
  note?: string
  clock_ahead_seconds?: number
  lists?: { list: string; epoch: number; serial: number; behind: number }[]
  certificate_until?: string
  clues?: number
  // Of the table only.
  state?: string
  behind?: number
  compromise?: string
  services?: string[]
}

// clockOff tells how wrong a device's clock is; half a second is the network's.
export function clockOff(ahead: number | undefined): string {
  if (ahead === undefined || Math.abs(ahead) < 0.5) return t('clockRight')
  return t(ahead > 0 ? 'clockAhead' : 'clockBehind', { span: duration(Math.abs(ahead)) })
}
