// What each setting of the policy means. The English is that of the hub's own
// configuration: package config checks that every key is here and says the same.

import { words } from '../../lib/lang.svelte'

export const docs = words({
  'policy.fast_failures': ['failures of one source at one owner within 10 minutes that lead to a block there; 0 is off', 'échecs d’une source chez un propriétaire en 10 minutes qui y entraînent un blocage ; 0 désactive'],
  'policy.day_failures': ['in 24 h', 'les mêmes échecs, en 24 h'],
  'policy.spread_guesses': ['guesses in 7 days, seen by two devices of an owner', 'essais en 7 jours, vus par deux appareils d’un propriétaire'],
  'policy.week_guesses': ['guesses in 7 days, seen by one device', 'essais en 7 jours, vus par un seul appareil'],
  'policy.campaign_guesses': ['guesses in 7 days, seen by one device, of a source of an open campaign; 0 is off', 'essais en 7 jours, vus par un seul appareil, d’une source d’une campagne ouverte ; 0 désactive'],
  'policy.person_fast_failures': ['failures in 10 minutes while all are on one real account: a person', 'échecs en 10 minutes, tous sur un seul compte réel : une personne'],
  'policy.person_day_failures': ['and in 24 h', 'et en 24 h'],
  'policy.device_hour': ['new addresses that one device may have blocked at its owner’s others in an hour', 'nouvelles adresses qu’un appareil peut faire bloquer en une heure sur les autres de son propriétaire'],
  'policy.device_day': ['and in 24 h', 'et en 24 h'],
  'policy.witness_score': ['thousandths of trust times evidence that owners must add up to for a block at everybody’s', 'millièmes de confiance multipliée par les indices que les propriétaires doivent réunir pour un blocage chez tout le monde'],
  'policy.witness_owners': ['and from how many owners', 'et de combien de propriétaires'],
  'policy.witness_networks': ['in how many networks (autonomous systems)', 'dans combien de réseaux (systèmes autonomes)'],
  'policy.probation': ['how long a new device weighs nothing at others’', 'durée pendant laquelle un nouvel appareil ne pèse rien chez les autres'],
  'policy.ramp': ['how long its weight then takes to grow to its owner’s', 'temps que met ensuite son poids pour atteindre celui de son propriétaire'],
  'policy.first_block': ['length of the first block of who may be a person; each further one doubles', 'durée du premier blocage de qui peut être une personne ; chaque suivant double'],
  'policy.guesser_block': ['length of the first block of who guesses', 'durée du premier blocage de qui devine des mots de passe'],
  'policy.fleet_block': ['length of the first block at everybody’s', 'durée du premier blocage chez tout le monde'],
  'policy.longest_block': ['at most 24h: what goes on is renewed', 'durée du plus long blocage, 24h au plus : ce qui continue est renouvelé'],
  'policy.shared': ['addresses that many share: blocks are short', 'adresses que beaucoup partagent : les blocages y sont courts'],
  'policy.sources': ['sources remembered at most', 'nombre maximal de sources retenues'],
})
