/** The app store. Times are RFC 3339 text in UTC; amounts are hundredths of the currency. */

import { http, search, send } from './http'
import type { Page } from './types'

export type Level = 'none' | 'tested' | 'certified'
export type VersionState = 'draft' | 'submitted' | 'reviewed' | 'published' | 'refused' | 'withdrawn'
export type PlanKind = 'free' | 'per-call' | 'per-device-month' | 'flat'

export interface Plan {
  kind: PlanKind
  amount: number
  currency: string
  included: number
}

export interface StoreApp {
  id: string
  title: Record<string, string>
  description: Record<string, string>
  industry: string
  version: string
  sha256: string
  size: number
  publisher: string
  level: Level
  rating: number | null
  ratings: number
  installs: number
  plan: Plan
  asks: string[]
  shown_at: string
}

export interface StoreVersion {
  id: number
  app: string
  version: string
  state: VersionState
  reason: string
  sha256: string
  size: number
  key_id: string
  publisher: string
  notes: string
  author: string
  reviewer: string
  made_at: string
  changed_at: string
}

export interface Certification {
  id: number
  version: string
  level: Level
  by: string
  evidence: string
  at: string
  until: string
  state: 'valid' | 'expired' | 'ended'
}

export interface Rating {
  tenant: number
  stars: number
  comment: string
  version: string
  user: string
  at: string
}

export interface StoreAppDetail extends StoreApp {
  own: boolean
  installed: string
  rated: Rating | null
  versions: StoreVersion[]
  certifications: Certification[]
}

export interface PermissionChange {
  change: 'added' | 'removed' | 'more' | 'less'
  kind: string
  what: string
  before: string
}

export interface Provenance {
  built_by: string
  source_time: string
  source_sha256: string
  commit: string
  dirty: boolean
  tools: { name: string; version: string }[]
  dependencies: { name: string; version: string }[]
}

export interface StoreVersionDetail extends StoreVersion {
  provenance: Provenance | null
  asks: { kind: string; what: string }[]
  changes: PermissionChange[]
  changes_against: string
  checks: { name: string; outcome: 'passed' | 'noted' | 'failed'; detail: string }[]
  certifications: Certification[]
}

export interface StatementLine {
  app: string
  title: Record<string, string>
  tenant: number
  tenant_name: string
  calls: number
  device_days: number
  installed: boolean
  plan: Plan
  amount: number
}

export interface Statement {
  month: string
  final: boolean
  lines: StatementLine[]
}

export interface PublisherKey {
  id: string
  publisher: string
  state: 'trusted' | 'revoked'
  reason: string
  changed_by: string
  changed_at: string
}

export interface Search {
  text?: string
  industry?: string
  without?: string
  level?: string
  rating?: string
  order?: string
  limit?: number
  cursor?: string | null
}

const TYPE = 'application/vnd.gongfu.app'
const LONG = 120_000
const app = (id: string) => `/store/apps/${encodeURIComponent(id)}`
const version = (id: number) => `/store/versions/${id}`

export const store = {
  search: (query: Search) => http.get<Page<StoreApp>>(`/store/apps${search({ ...query })}`),
  get: (id: string) => http.get<StoreAppDetail>(app(id)),
  list: (id: string, listing: { description?: Record<string, string>; industry?: string; plan?: Plan }) => http.put<StoreAppDetail>(app(id), listing),
  ratings: (id: string, cursor: string | null) => http.get<Page<Rating>>(`${app(id)}/ratings${search({ limit: 20, cursor })}`),
  rate: (id: string, stars: number, comment: string) => http.put<Rating>(`${app(id)}/rating`, { stars, comment }),
  installed: (id: string, name: string) => http.post<void>(`${app(id)}/installations`, { version: name }),
  statement: (month: string) => http.get<Statement>(`/store/statements${search({ month })}`),
  fetch: async (sha256: string) => (await send('GET', `/store/packages/${sha256}`, undefined, { accept: '*/*', timeout: LONG })).blob(),
  versions: {
    queue: (cursor: string | null) => http.get<Page<StoreVersion>>(`/store/versions${search({ limit: 50, cursor })}`),
    get: (id: number) => http.get<StoreVersionDetail>(version(id)),
    draft: async (file: Blob, notes: string) => (await (await send('POST', `/store/versions${search({ notes })}`, undefined, { raw: file, type: TYPE, timeout: LONG })).json()) as StoreVersion,
    submit: (id: number) => http.post<StoreVersion>(`${version(id)}:submit`),
    decide: (id: number, decision: 'publish' | 'refuse', sha256: string, reason: string) => http.post<StoreVersion>(`${version(id)}:decide`, { decision, sha256, reason }),
    withdraw: (id: number, reason: string) => http.post<StoreVersion>(`${version(id)}:withdraw`, { reason }),
    certify: (id: number, body: { level: string; by: string; evidence: string; until: string }) => http.post<Certification>(`${version(id)}/certifications`, body),
  },
  publishers: {
    list: () => http.get<Page<PublisherKey>>('/store/publishers'),
    trust: (key: unknown, publisher: string) => http.post<PublisherKey>('/store/publishers', { key, publisher }),
    revoke: (id: string, reason: string) => http.post<PublisherKey>(`/store/publishers/${encodeURIComponent(id)}:revoke`, { reason }),
  },
}
