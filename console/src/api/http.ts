/** One way to call the node: JSON in, JSON out, problem+json as an exception. */

const TIMEOUT_MS = 30_000

export class ProblemError extends Error {
  constructor(
    /** HTTP status; 0 when the node could not be reached at all. */
    readonly status: number,
    /** Stable code of the problem; `unreachable` and `timeout` are our own. */
    readonly code: string,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title)
  }
}

type Listener = () => void
const signedOut = new Set<Listener>()

/** Call `listener` when the node says that the session is gone. */
export function onSignedOut(listener: Listener): void {
  signedOut.add(listener)
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

async function problemOf(response: Response): Promise<ProblemError> {
  const text = await response.text().catch(() => '')
  let body: Record<string, unknown> = {}
  try {
    body = record(JSON.parse(text))
  } catch {
    body = {}
  }
  const code = typeof body.code === 'string' ? body.code : `http-${response.status}`
  const title = typeof body.title === 'string' ? body.title : response.statusText
  const detail = typeof body.detail === 'string' ? body.detail : ''
  return new ProblemError(response.status, code, title, detail)
}

export interface CallOptions {
  signal?: AbortSignal
  accept?: string
  /** A 401 is an answer here (wrong password), not the end of the session. */
  keepSession?: boolean
  /** A body that goes as it is, in the place of JSON. */
  raw?: Blob
  /** Its type; else the blob's own. */
  type?: string
  headers?: Record<string, string>
  /** Milliseconds until the answer begins. */
  timeout?: number
}

/** Send a request to `/v1<path>` and return the response; throws `ProblemError`. */
export async function send(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<Response> {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort('timeout'), options.timeout ?? TIMEOUT_MS)
  options.signal?.addEventListener('abort', () => stop.abort('cancelled'))
  const headers: Record<string, string> = { Accept: options.accept ?? 'application/json', ...options.headers }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  else if (options.raw) headers['Content-Type'] = options.type ?? (options.raw.type || 'application/octet-stream')
  let response: Response
  try {
    response = await fetch(`/v1${path}`, {
      method,
      headers,
      body: body === undefined ? (options.raw ?? null) : JSON.stringify(body),
      credentials: 'same-origin',
      signal: stop.signal,
    })
  } catch {
    throw new ProblemError(0, stop.signal.aborted ? String(stop.signal.reason) : 'unreachable', '', '')
  } finally {
    clearTimeout(timer)
  }
  if (response.ok) return response
  const problem = await problemOf(response)
  if (problem.status === 401 && !options.keepSession) for (const listener of signedOut) listener()
  throw problem
}

async function json<T>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<T> {
  const response = await send(method, path, body, options)
  const text = await response.text()
  return (text ? JSON.parse(text) : undefined) as T
}

export const http = {
  get: <T>(path: string, options?: CallOptions) => json<T>('GET', path, undefined, options),
  post: <T>(path: string, body?: unknown, options?: CallOptions) => json<T>('POST', path, body ?? {}, options),
  patch: <T>(path: string, body: unknown) => json<T>('PATCH', path, body),
  put: <T>(path: string, body: unknown) => json<T>('PUT', path, body),
  delete: (path: string) => json<void>('DELETE', path),
}

/** Return `?a=1&b=2` of the members that say something, or nothing. */
export function search(query: Record<string, string | number | boolean | null | undefined>): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '')
  if (pairs.length === 0) return ''
  return `?${new URLSearchParams(pairs.map(([key, value]) => [key, String(value)])).toString()}`
}

/** Some lists are bare arrays and some are pages: return the items of either. */
export function itemsOf<T>(answer: T[] | Page<T>): T[] {
  return Array.isArray(answer) ? answer : answer.items
}

interface Page<T> {
  items: T[]
}
