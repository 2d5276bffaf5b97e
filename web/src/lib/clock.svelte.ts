// The hub's clock. On a demo hub it runs faster, or stands still.

const base = $state({ hub: Date.now(), here: Date.now(), speed: 1, paused: false })
export const clock = $state({ tick: Date.now() })

export function setClock(now: string | number | undefined, speed = 1, paused = false) {
  const t = typeof now === 'string' ? Date.parse(now) : now
  base.hub = t && !Number.isNaN(t) ? t : Date.now()
  base.here = Date.now()
  base.speed = speed || 1
  base.paused = paused
  clock.tick = hubNow()
}

// hubNow is the hub's time in milliseconds.
export function hubNow(): number {
  return base.paused ? base.hub : base.hub + (Date.now() - base.here) * base.speed
}

setInterval(() => {
  if (!document.hidden) clock.tick = hubNow()
}, 1000)
