import { words } from '../../lib/lang.svelte'

export const t = words({
  parts: ['Parts of the settings', 'Parties des réglages'],
  me: ['My account', 'Mon compte'],
  users: ['Users', 'Utilisateurs'],
  tokens: ['API tokens', 'Jetons d’API'],
  passes: ['Passes', 'Laissez-passer'],
  notifications: ['Notifications', 'Notifications'],
  policy: ['Policy', 'Politique'],
  hub: ['Hub', 'Hub'],
  name: ['Name', 'Nom'],
  role: ['Role', 'Rôle'],
  owner: ['Owner', 'Propriétaire'],
  once: ['It is shown once. Copy it now.', 'Il est montré une seule fois. Copiez-le maintenant.'],
  close: ['I have it', 'Je l’ai'],
  roleViewer: ['viewer: sees everything', 'lecteur : voit tout'],
  roleAnalyst: ['analyst: also blocks, allows, and answers incidents', 'analyste : bloque, autorise et traite les incidents'],
  roleAdmin: ['admin: also devices, users, keys and policy', 'administrateur : appareils, utilisateurs, clés et politique'],
  until: ['Until', 'Jusqu’à'],
  ever: ['for ever', 'pour toujours'],
  days: ['{n} {n#day|days}', '{n} {n#jour|jours}'],
  span: ['Works for', 'Fonctionne pendant'],
})
