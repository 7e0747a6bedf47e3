/** Installed apps. Times are RFC 3339 text in UTC. */

import { http, search, send } from './http'
import type { Page } from './types'

export type AppState = 'starting' | 'running' | 'failing' | 'stopped'

export interface AppStatus {
  version: string
  state: AppState
  why: string
  restarts: number
  cpu_s: number
  cpu: number
  memory_bytes: number
  windows: number
  failed: number
  given_up: number
  late: number
  shed: number
  lag_blocks: number
  refusals: number
  refused: { text: string; count: number }[]
  error: string
  functions: { name: string; kind: string; about: string; next_at: number | null }[]
  missing: string[]
  start_s: number
}

export interface AppManifest {
  resources?: { memory?: string; cpu?: number; storage?: string }
  [member: string]: unknown
}

/** One thing that an app asks for; see docs/apps.md. */
export interface Permission {
  kind: string
  what: string
  line: string
  /** Empty when it has none: then it is not optional. */
  name: string
  optional: boolean
  reason: Record<string, string>
  granted: boolean
  new: boolean
}

export interface InstalledApp {
  id: string
  version: string
  previous: string | null
  title: Record<string, string>
  status: string
  enabled: boolean
  publisher: string
  /** Of the publisher: its id, and how this node stands to it. */
  key: string
  key_state: '' | 'trusted' | 'revoked' | 'unknown'
  /** Why it may not run because of its key; empty when it may. */
  withheld: string
  key_override: { key: string; reason: string; by: string } | null
  sha256: string
  asks: string[]
  permissions: Permission[]
  pages: { file: string; title: Record<string, string> }[]
  models: string[]
  trouble: string
  installed_by: string
  installed_at: string
  changed_at: string
  manifest: AppManifest
  running: AppStatus | null
}

export interface Inspected {
  id: string
  version: string
  /** Of the package that was looked at: what is granted is granted to it and no other. */
  sha256: string
  title: Record<string, string>
  publisher: string
  signed: boolean
  trusted: boolean
  asks: string[]
  new: string[]
  permissions: Permission[]
  installed: string | null
}

/** A migration may take minutes. */
const PATIENT = 420_000
const TYPE = 'application/vnd.gongfu.app'
const path = (id: string) => `/apps/${encodeURIComponent(id)}`

export const apps = {
  list: () => http.get<Page<InstalledApp>>('/apps'),
  get: (id: string) => http.get<InstalledApp>(path(id)),
  inspect: async (file: Blob) => (await (await send('POST', '/apps:inspect', undefined, { raw: file, type: TYPE, timeout: PATIENT })).json()) as Inspected,
  /** Install or upgrade; what is not in `refused` is granted. A comma alone names nothing. */
  install: async (file: Blob, sha256: string, unsigned: boolean, refused: string[]) =>
    (await (await send('POST', `/apps:install${search({ grant: 'all', without: refused.join(',') || ',', sha256, unsigned: unsigned || null })}`, undefined, { raw: file, type: TYPE, timeout: PATIENT })).json()) as InstalledApp,
  grant: (id: string, refused: string[]) => http.post<InstalledApp>(`${path(id)}:grant${search({ without: refused.join(',') || ',' })}`, undefined, { timeout: PATIENT }),
  become: (id: string, step: 'rollback' | 'enable' | 'disable') => http.post<InstalledApp>(`${path(id)}:${step}`, undefined, { timeout: PATIENT }),
  allowKey: (id: string, reason: string) => http.put(`${path(id)}/key-override`, { reason }),
  endKey: (id: string) => http.delete(`${path(id)}/key-override`),
  remove: async (id: string) => void (await send('DELETE', path(id), undefined, { timeout: PATIENT })),
  log: (id: string, lines: number) => http.get<{ lines: string[] }>(`${path(id)}/log${search({ lines })}`),
  records: (id: string) => `/v1${path(id)}/records`,
}
