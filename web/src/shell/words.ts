import { words } from '../lib/lang.svelte'

// Names of the parts of the console, as the navigation has them.
export const sections = words({
  overview: ['Overview', 'Vue d’ensemble'],
  campaigns: ['Campaigns', 'Campagnes'],
  rules: ['Rules', 'Règles'],
  devices: ['Devices', 'Appareils'],
  controllers: ['Controllers', 'Contrôleurs'],
  cases: ['Cases', 'Dossiers'],
  compromise: ['Compromise', 'Compromissions'],
  notices: ['Notices', 'Avis'],
  settings: ['Settings', 'Réglages'],
  log: ['Operators’ log', 'Journal des opérateurs'],
  help: ['Help', 'Aide'],
})

export const roles = words({
  viewer: ['viewer', 'lecteur'],
  analyst: ['analyst', 'analyste'],
  admin: ['admin', 'administrateur'],
})
