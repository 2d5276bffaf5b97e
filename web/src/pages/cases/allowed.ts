// In which states an act makes sense, as the hub has it (takedown/apply.go): what
// would be refused is not offered.

const waiting = ['sent', 'delivered', 'bounced', 'acknowledged', 'action']
const alive = ['draft', 'reopened', 'approved', ...waiting]

export const allowed: Record<string, string[]> = {
  draft: alive,
  approve: alive,
  send: alive,
  acknowledge: ['sent', 'delivered', 'bounced'],
  action: ['sent', 'delivered', 'bounced', 'acknowledged'],
  close: ['action', 'verified-down'],
  reject: [...alive, 'verified-down'],
  escalate: waiting,
  heard: [...waiting, 'verified-down'],
}

export const can = (act: keyof typeof allowed, state: string) => allowed[act].includes(state)
