// Light, dark, or what the system says.

export type Theme = 'system' | 'light' | 'dark'

const kept = localStorage.getItem('tocsin.theme')
const system = matchMedia('(prefers-color-scheme: dark)')

export const theme = $state({
  chosen: (kept === 'light' || kept === 'dark' ? kept : 'system') as Theme,
  dark: false,
})

function show() {
  theme.dark = theme.chosen === 'dark' || (theme.chosen === 'system' && system.matches)
  document.documentElement.dataset.theme = theme.dark ? 'dark' : 'light'
}

export function startTheme() {
  system.addEventListener('change', show)
  show()
}

export function choose(t: Theme) {
  theme.chosen = t
  localStorage.setItem('tocsin.theme', t)
  show()
}
