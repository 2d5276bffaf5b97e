// Numbers and times as the reader's language writes them.

import { locale } from './lang.svelte'

const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>()

function once<T extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>(what: string, make: (l: string) => T): T {
  const key = locale() + what
  let f = made.get(key)
  if (!f) made.set(key, (f = make(locale())))
  return f as T
}

export const number = (n: number, digits = 0) =>
  once('n' + digits, (l) => new Intl.NumberFormat(l, { maximumFractionDigits: digits })).format(n)
export const compact = (n: number) =>
  once('c', (l) => new Intl.NumberFormat(l, { notation: 'compact', maximumFractionDigits: 1 })).format(n)
// share writes 0.5 as 50 %. What is not all never reads as 100 %.
export function share(x: number, digits = 0): string {
  const f = once('s' + digits, (l) => new Intl.NumberFormat(l, { style: 'percent', maximumFractionDigits: digits }))
  const step = 10 ** -(digits + 2)
  return f.format(x < 1 && x > 1 - step ? 1 - step : x > 0 && x < step ? step : x)
}
export const bytes = (n: number) => {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']
  let i = 0
  while (n >= 1000 && i < units.length - 1) (n /= 1000), i++
  return once('b' + i, (l) => new Intl.NumberFormat(l, { style: 'unit', unit: units[i], maximumFractionDigits: i ? 1 : 0 })).format(n)
}

// date reads what the hub wrote; null is never, or no time.
export function date(v: string | number | Date | null | undefined): Date | null {
  if (v === null || v === undefined || v === '') return null
  const d = v instanceof Date ? v : new Date(typeof v === 'number' ? v * 1000 : v)
  return Number.isNaN(d.getTime()) || d.getUTCFullYear() < 1971 ? null : d
}

export const full = (d: Date) =>
  once('f', (l) => new Intl.DateTimeFormat(l, { dateStyle: 'full', timeStyle: 'long' })).format(d)
export const time = (d: Date) => once('t', (l) => new Intl.DateTimeFormat(l, { timeStyle: 'medium' })).format(d)
export const day = (d: Date) =>
  once('d', (l) => new Intl.DateTimeFormat(l, { day: 'numeric', month: 'short', year: 'numeric' })).format(d)
const dayTime = (d: Date) =>
  once('dt', (l) => new Intl.DateTimeFormat(l, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' })).format(d)
const yearTime = (d: Date) =>
  once('yt', (l) => new Intl.DateTimeFormat(l, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' })).format(d)

// when writes a time as shortly as is clear at now: of today, the time is enough,
// but for the ends of a longer time.
export function when(d: Date, now: number, withDay = false): string {
  const n = new Date(now)
  if (!withDay && d.toDateString() === n.toDateString()) return time(d)
  return d.getFullYear() === n.getFullYear() ? dayTime(d) : yearTime(d)
}

// ago writes a time by its distance from now.
export function ago(d: Date, now: number): string {
  const f = once('a', (l) => new Intl.RelativeTimeFormat(l, { numeric: 'auto', style: 'short' }))
  const s = (d.getTime() - now) / 1000
  const a = Math.abs(s)
  if (a < 60) return f.format(Math.trunc(s), 'second')
  if (a < 3600) return f.format(Math.trunc(s / 60), 'minute')
  if (a < 2 * 86400) return f.format(Math.trunc(s / 3600), 'hour')
  return f.format(Math.trunc(s / 86400), 'day')
}

// duration writes seconds by their two largest units.
export function duration(s: number): string {
  if (!Number.isFinite(s)) return ''
  const sign = s < 0 ? '−' : ''
  s = Math.abs(s)
  const part = (n: number, unit: string, digits = 0) =>
    once('u' + unit + digits, (l) => new Intl.NumberFormat(l, { style: 'unit', unit, unitDisplay: 'narrow', maximumFractionDigits: digits })).format(n)
  if (s < 10) return sign + part(s, 'second', s < 1 ? 2 : 1)
  const units: [string, number][] = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]
  const i = units.findIndex(([, n]) => Math.round(s) >= n)
  const whole = Math.floor(Math.round(s) / units[i][1])
  const rest = i < 3 ? Math.floor((Math.round(s) - whole * units[i][1]) / units[i + 1][1]) : 0
  return sign + part(whole, units[i][0]) + (rest ? ' ' + part(rest, units[i + 1][0]) : '')
}
