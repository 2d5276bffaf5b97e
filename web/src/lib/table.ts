// What a table is told, and how the query of the page says its state: every state
// of a table is an address that can be kept and sent.

export interface Column<R> {
  key: string // the hub's name of the column, also to sort by
  label: string
  sort?: boolean // the hub can sort by it; true if not said
  num?: boolean // to the right
  text?: (row: R) => string // shown if the page draws no cell of its own
  phone?: 'title' | 'no' // on a phone: heads the card, or is left out
  wide?: boolean // only where there is room: every row has it in its own page, and the CSV
}

export interface Filter {
  key: string
  label: string
  options?: { value: string; label: string }[] // none: free text
}

export interface Shown {
  q: string
  sort: string
  desc: boolean
  page: number
  size: number
  filters: Record<string, string>
}

export const sizes = [25, 50, 100, 200]

// shown reads the state of a table out of the query; before is put before its keys
// where a page has several tables.
export function shown(query: URLSearchParams, before: string, filters: Filter[], sort: string, desc: boolean, size: number): Shown {
  const g = (k: string) => query.get(before + k)
  const n = (k: string, or: number) => {
    const v = Number(g(k))
    return Number.isInteger(v) && v > 0 ? v : or
  }
  const set: Record<string, string> = {}
  for (const f of filters) {
    const v = g(f.key)
    if (v) set[f.key] = v
  }
  const by = g('sort')
  return {
    q: g('q') ?? '',
    sort: by ?? sort,
    desc: by === null ? desc : g('desc') === '1',
    page: n('page', 1),
    size: Math.min(500, n('size', size)),
    filters: set,
  }
}
