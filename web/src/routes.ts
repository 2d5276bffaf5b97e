// Every page of the console, and what loads it.

import type { Route } from './lib/router.svelte'

export const routes: Route[] = [
  { path: '/', section: 'overview', load: () => import('./pages/overview/Overview.svelte') },
  { path: '/campaigns', section: 'campaigns', load: () => import('./pages/campaigns/List.svelte') },
  { path: '/campaigns/:id', section: 'campaigns', load: () => import('./pages/campaigns/One.svelte') },
  { path: '/rules', section: 'rules', load: () => import('./pages/rules/List.svelte') },
  { path: '/rules/import', section: 'rules', load: () => import('./pages/rules/Import.svelte') },
  { path: '/about/:address', section: 'rules', load: () => import('./pages/rules/About.svelte') },
  { path: '/sources', section: 'rules', load: () => import('./pages/rules/Sources.svelte') },
  { path: '/devices', section: 'devices', load: () => import('./pages/devices/List.svelte') },
  { path: '/devices/enrol', section: 'devices', load: () => import('./pages/devices/Enrol.svelte') },
  { path: '/devices/:id', section: 'devices', load: () => import('./pages/devices/One.svelte') },
  { path: '/controllers', section: 'controllers', load: () => import('./pages/controllers/List.svelte') },
  { path: '/controllers/flows', section: 'controllers', load: () => import('./pages/controllers/Flows.svelte') },
  { path: '/controllers/:address/:port', section: 'controllers', load: () => import('./pages/controllers/One.svelte') },
  { path: '/cases', section: 'cases', load: () => import('./pages/cases/List.svelte') },
  { path: '/cases/:id', section: 'cases', load: () => import('./pages/cases/One.svelte') },
  { path: '/compromise', section: 'compromise', load: () => import('./pages/compromise/List.svelte') },
  { path: '/compromise/:device', section: 'compromise', load: () => import('./pages/compromise/One.svelte') },
  { path: '/notices', section: 'notices', load: () => import('./pages/notices/List.svelte') },
  { path: '/notices/:kind', section: 'notices', load: () => import('./pages/notices/One.svelte') },
  { path: '/settings', section: 'settings', load: () => import('./pages/settings/Me.svelte') },
  { path: '/settings/users', section: 'settings', load: () => import('./pages/settings/Users.svelte') },
  { path: '/settings/tokens', section: 'settings', load: () => import('./pages/settings/Tokens.svelte') },
  { path: '/settings/passes', section: 'settings', load: () => import('./pages/settings/Passes.svelte') },
  { path: '/settings/notifications', section: 'settings', load: () => import('./pages/settings/Notifications.svelte') },
  { path: '/settings/policy', section: 'settings', load: () => import('./pages/settings/Policy.svelte') },
  { path: '/settings/hub', section: 'settings', load: () => import('./pages/settings/Hub.svelte') },
  { path: '/log', section: 'log', load: () => import('./pages/log/List.svelte') },
  { path: '/help', section: 'help', load: () => import('./pages/help/Help.svelte') },
]
