/** Pure: what a page of an app may ask of the console around its frame: its own app's routes, nothing else. */

export interface FrameCall {
  id: number
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Below `/v1`. */
  address: string
  body: string
}

const METHODS = new Set(['GET', 'POST', 'PUT', 'DELETE'])
const MOST_BODY = 1 << 20
const MOST_PATH = 1000

/** Return the address of a route of an app, null for what is not below its routes. */
export function routeAddress(app: string, path: string, query: Record<string, string>): string | null {
  if (path.length > MOST_PATH || !path.startsWith('/') || /[?#\\]/.test(path)) return null
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '') continue
    let plain: string
    try {
      plain = decodeURIComponent(part)
    } catch {
      return null
    }
    // A browser takes such parts away, also when they are encoded, and what is left would be another address.
    if (plain === '.' || plain === '..' || /[/\\\u0000-\u001f]/.test(plain)) return null
    parts.push(encodeURIComponent(plain))
  }
  if (parts.length === 0) return null
  const asked = new URLSearchParams(query).toString()
  return `/apps/${encodeURIComponent(app)}/api/${parts.join('/')}${asked ? `?${asked}` : ''}`
}

/** Return the call in a message of a frame; null for another message, text for one that is refused. */
export function readCall(app: string, data: unknown): FrameCall | { id: number; refused: string } | null {
  if (typeof data !== 'object' || data === null) return null
  const message = data as Record<string, unknown>
  if (message.type !== 'gongfu.call' || typeof message.id !== 'number') return null
  const { id, method, path, query, body } = message
  if (typeof method !== 'string' || !METHODS.has(method)) return { id, refused: 'method' }
  if (typeof path !== 'string') return { id, refused: 'path' }
  const asked = typeof query === 'object' && query !== null ? Object.fromEntries(Object.entries(query).map(([key, value]) => [key, String(value)])) : {}
  const address = routeAddress(app, path, asked)
  if (address === null) return { id, refused: 'path' }
  const text = typeof body === 'string' ? body : ''
  if (text.length > MOST_BODY) return { id, refused: 'body' }
  return { id, method: method as FrameCall['method'], address, body: text }
}
