// What the hub is asked. An answer that is no good becomes a Refused, whose text is
// the hub's own sentence; an ended session asks the person to sign in, and then the
// same is asked again, so that nothing typed is lost.

export class Refused extends Error {
  constructor(
    readonly status: number, // 0: the hub did not answer
    text: string,
    readonly after = 0, // seconds to wait
    readonly body: Record<string, unknown> = {},
  ) {
    super(text)
  }
}

// wrong is what the console itself refuses, in a sentence for people.
export const wrong = (text: string) => new Refused(1, text)

export type Query = Record<string, string | number | boolean | undefined | null>

let renew: (() => Promise<void>) | null = null
// onExpired says what is done when the hub no longer knows who asks.
export function onExpired(f: () => Promise<void>) {
  renew = f
}

// signInAgain asks the person to sign in, as an ended session does.
export const signInAgain = () => renew?.() ?? Promise.reject(new Refused(401, ''))

export function url(path: string, query?: Query): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query ?? {})) if (v !== undefined && v !== null && v !== '') q.set(k, String(v))
  const text = q.toString()
  return path + (text ? '?' + text : '')
}

export interface Options {
  query?: Query
  body?: unknown // JSON; a string or a file is sent as it is
  signal?: AbortSignal
  anonymous?: boolean // 401 is an answer, and no ended session
}

function bodyOf(body: unknown): RequestInit {
  if (body === undefined) return {}
  const [type, bytes] =
    body instanceof Blob ? ['application/octet-stream', body] : typeof body === 'string' ? ['text/plain; charset=utf-8', body] : ['application/json', JSON.stringify(body)]
  return { headers: { 'Content-Type': type as string }, body: bytes }
}

// ask returns the answer as it came, once it is a good one.
export async function ask(method: string, path: string, o: Options = {}): Promise<Response> {
  for (let again = 0; ; again++) {
    let r: Response
    try {
      r = await fetch(url(path, o.query), {
        method,
        credentials: 'same-origin',
        cache: 'no-store',
        signal: o.signal,
        ...bodyOf(o.body),
      })
    } catch (e) {
      if (o.signal?.aborted) throw e
      throw new Refused(0, '')
    }
    if (r.ok) return r
    if (r.status === 401 && !o.anonymous && renew && again < 3) {
      await renew()
      continue
    }
    const body = (await r.json().catch(() => ({}))) as Record<string, unknown>
    throw new Refused(r.status, typeof body.error === 'string' ? body.error : `HTTP ${r.status}`, Number(r.headers.get('Retry-After')) || 0, body)
  }
}

async function json<T>(method: string, path: string, o?: Options): Promise<T> {
  const r = await ask(method, path, o)
  if (r.status === 204) return undefined as T
  const text = await r.text()
  return (text ? JSON.parse(text) : undefined) as T
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal) => json<T>('GET', path, { query, signal })
export const post = <T = void>(path: string, body?: unknown, query?: Query) => json<T>('POST', path, { body, query })
export const put = <T = void>(path: string, body?: unknown) => json<T>('PUT', path, { body })
export const patch = <T = void>(path: string, body?: unknown) => json<T>('PATCH', path, { body })
export const del = <T = void>(path: string) => json<T>('DELETE', path)
export const anonymous = <T>(method: string, path: string, body?: unknown) => json<T>(method, path, { body, anonymous: true })

// seg escapes what goes into a path.
export const seg = (s: string | number) => encodeURIComponent(String(s))
