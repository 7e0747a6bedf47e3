/** Identifiers: prefixes, applications, templates, records, the workbench box, statistics (docs/identifiers). Times are RFC 3339 text in UTC. */

import { http, search, send } from './http'
import type { Page } from './types'

export interface Counts {
  total: number
  explicit: number
  ranged: number
}

export interface IdentifierOverview {
  root: string
  prefixes: number
  delegations: number
  templates: number
  classes: number
  ranges: number
  registered: Counts & { overrides: number }
  today: { day: string; registered: number; real: number; replayed: number }
  applications: Record<ApplicationState, number>
  /** Address of each face, "" where it is off. */
  faces: Record<string, string>
}

export type ApplicationState = 'draft' | 'submitted' | 'returned' | 'refused' | 'approved' | 'suspended' | 'revoked'
export type ApplicationStep = 'submit' | 'return' | 'refuse' | 'approve' | 'suspend' | 'resume' | 'revoke'

export interface ApplicationDocument {
  kind: string
  name: string
  media_type: string
  bytes: number
  digest: string
}

export interface Application {
  id: number
  name: string
  credit_code: string
  region: string
  industry: string
  applicant: string
  contact: string
  wanted_prefix: string
  documents: ApplicationDocument[]
  prefix: string
  state: ApplicationState
  steps: ApplicationStep[]
  created_at: string
  changed_at: string
}

export type ApplicationDraft = Pick<Application, 'name' | 'credit_code'> & Partial<Pick<Application, 'region' | 'industry' | 'contact' | 'wanted_prefix'>>

export interface ReviewStep {
  at: string
  person: string
  step: string
  words: string
}

export interface Prefix extends Counts {
  name: string
  state: 'active' | 'suspended' | 'revoked'
  kind: 'own' | 'delegated'
  enterprise: string
  application: number | null
  region: string
  industry: string
  quota: number
  service: string
  created_at: string
}

export type DataType = 'text' | 'integer' | 'decimal' | 'boolean' | 'date' | 'time' | 'url' | 'identifier' | 'choice'
export const DATA_TYPES: readonly DataType[] = ['text', 'integer', 'decimal', 'boolean', 'date', 'time', 'url', 'identifier', 'choice']

/** Members at their defaults are left out. */
export interface TemplateAttribute {
  name: string
  title?: Record<string, string>
  index: number
  type?: DataType
  required?: boolean
  pattern?: string
  minimum?: number | null
  maximum?: number | null
  max_length?: number
  choices?: string[]
  unit?: string
  public?: boolean
}

export type TemplateState = 'draft' | 'published' | 'withdrawn'

export interface Template {
  name: string
  version?: number
  title?: Record<string, string>
  industry?: string
  state?: TemplateState
  attributes: TemplateAttribute[]
}

export interface IdentifierClass {
  number: number
  template: string
  attributes: Record<string, string>
  title: string
  timestamp: string
}

export interface IdentifierRange {
  prefix: string
  text: string
  first: string
  last: string
  registered: number
  holes: number
  overrides: number
  classes: Record<string, number>
}

export interface HandleValue {
  index: number
  type: string
  data: { format: string; value: unknown }
  ttl: number | string
  timestamp: string
  permissions?: string
  references?: { handle: string; index: number }[]
}

export interface IdentifierRecord {
  handle: string
  prefix: string
  kind: 'explicit' | 'ranged'
  template: string
  class: number | null
  attributes: Record<string, string>
  values: HandleValue[]
  timestamp: string
}

export interface ResolveHop {
  question: string
  server: string
  code: string
  cache: string
  milliseconds: number
  ttl: number
  detail: string
}

export interface Resolved {
  text: string
  kind: 'handle' | 'gs1' | 'oid' | 'did' | 'url' | 'unknown'
  handle: string
  canonical: string
  found: boolean
  record: IdentifierRecord | null
  source: string
  links: { type: string; href: string; title?: string; language?: string }[]
  relations: { kind: string; handle: string; label: string }[]
  trace: ResolveHop[]
  trust: { state: string; signer: string; checked: number; detail: string }
  detail: string
}

export interface StatisticsRow extends Counts {
  key: string
  name?: string
  added?: number
  prefixes?: number
  real: number
  replayed: number
}

export interface Statistics {
  by: string
  items: StatisticsRow[]
  total: Counts & { prefixes: number; real: number; replayed: number }
  as_of: string
}

export interface Operations {
  since: string
  resolutions: number
  per_second: number
  latency_ms: { p50: number | null; p99: number | null }
  answers: Record<string, Record<string, number>>
  cache: { hits: number; misses: number; negative: number; hit_ratio: number | null; entries: number }
  store: { records: number; bytes: number; files: number; ranges: number }
  writes: { queued: number; written: number; per_second: number }
  reporting: { state: 'up' | 'behind' | 'none'; lag_seconds: number | null; waiting: number }
  dropped: Record<string, number>
  memory_bytes: number
}

export interface BatchSummary {
  items: number
  created: number
  replaced: number
  deleted: number
  failed: number
  by_code: Record<string, number>
}
export interface BatchLine {
  line: number
  code: string
  detail?: string
}

const part = (id: number | string) => encodeURIComponent(String(id))
const template = (one: { name: string; version?: number }) => `/identifiers/templates/${part(one.name)}/versions/${one.version ?? 1}`
const application = (id: number) => `/identifiers/applications/${id}`

export const identifiers = {
  overview: () => http.get<IdentifierOverview>('/identifiers'),
  statistics: (by: string, days?: number) => http.get<Statistics>(`/identifiers/statistics${search({ by, days })}`),
  operations: () => http.get<Operations>('/identifiers/operations'),
  resolve: (text: string, trace: boolean, verify: boolean) => http.post<Resolved>('/identifiers:resolve', { text, trace, verify }),
  sign: (handle: string) => http.post<{ handle: string; signer: string }>('/identifiers:sign', { handle }),
  timeline: (thing: string) => http.post<Record<string, unknown>>('/identifiers:timeline', { thing }),
  recall: (thing: string) => http.post<Record<string, unknown>>('/identifiers:recall', { thing }),
  prefixes: (query: { search?: string; state?: string; limit?: number; cursor?: string | null }) => http.get<Page<Prefix>>(`/identifiers/prefixes${search({ ...query })}`),
  addPrefix: (body: { name: string; enterprise?: string; region?: string; industry?: string; kind?: 'own' | 'delegated'; service?: string }) => http.post<Prefix>('/identifiers/prefixes', body),
  changePrefix: (name: string, body: { state: string }) => http.patch<Prefix>(`/identifiers/prefixes/${part(name)}`, body),
  applications: {
    list: (query: { state?: string; search?: string; limit?: number; cursor?: string | null }) => http.get<Page<Application>>(`/identifiers/applications${search({ ...query })}`),
    get: (id: number) => http.get<Application>(application(id)),
    create: (body: ApplicationDraft) => http.post<Application>('/identifiers/applications', body),
    change: (id: number, body: Partial<ApplicationDraft>) => http.patch<Application>(application(id), body),
    step: (id: number, step: ApplicationStep, body: { words?: string; prefix?: string }) => http.post<Application>(`${application(id)}:${step}`, body),
    audit: (id: number) => http.get<Page<ReviewStep>>(`${application(id)}/audit`).then((page) => page.items),
    documentUrl: (id: number, digest: string) => `/v1${application(id)}/documents/${part(digest)}`,
    removeDocument: (id: number, digest: string) => http.delete(`${application(id)}/documents/${part(digest)}`),
    addDocument: async (id: number, kind: string, file: File): Promise<Application> => {
      const query = search({ kind, name: file.name })
      const response = await send('PUT', `${application(id)}/documents${query}`, undefined, { raw: file })
      return (await response.json()) as Application
    },
  },
  templates: {
    list: (query: { state?: string; search?: string; limit?: number; cursor?: string | null }) => http.get<Page<Template>>(`/identifiers/templates${search({ ...query })}`),
    create: (body: Template) => http.post<Template>('/identifiers/templates', body),
    change: (one: Template) => http.put<Template>(template(one), { title: one.title ?? {}, industry: one.industry ?? '', attributes: one.attributes }),
    remove: (one: Template) => http.delete(template(one)),
    become: (one: Template, step: 'publish' | 'withdraw') => http.post<Template>(`${template(one)}:${step}`),
    next: (name: string) => http.post<Template>(`/identifiers/templates/${part(name)}:nextVersion`),
    copy: (name: string, to: string) => http.post<Template>(`/identifiers/templates/${part(name)}:copy`, { name: to }),
  },
  classes: (query: { limit?: number; cursor?: string | null }) => http.get<Page<IdentifierClass>>(`/identifiers/classes${search({ ...query })}`),
  addClass: (body: { template: string; attributes: Record<string, string>; title: string }) => http.post<IdentifierClass>('/identifiers/classes', body),
  ranges: (query: { prefix?: string; limit?: number; cursor?: string | null }) => http.get<Page<IdentifierRange>>(`/identifiers/ranges${search({ ...query })}`),
  defineRange: (body: { prefix: string; range: string; class: number }) => http.post<{ new: number; present: number; moved: number }>('/identifiers/ranges', body),
  register: (body: { handle: string; template: string; attributes: Record<string, string> }) => http.post<{ handle: string; code: string }>('/identifiers/record', body),
  remove: (handle: string) => http.delete(`/identifiers/record${search({ handle })}`),
  /** The answer is lines of JSON: one a failed item, and a summary at the end. */
  batch: async (file: File, query: { template: string; prefix: string }, key: string): Promise<{ summary: BatchSummary | null; failed: BatchLine[] }> => {
    const name = file.name.toLowerCase()
    const type = name.endsWith('.csv') ? 'text/csv' : name.endsWith('.parquet') ? 'application/vnd.apache.parquet' : 'application/x-ndjson'
    const response = await send('POST', `/identifiers:batch${search({ ...query, operation: 'create', results: 'failed' })}`, undefined, {
      raw: file,
      type,
      headers: { 'Idempotency-Key': key },
      timeout: 3_600_000,
    })
    const failed: BatchLine[] = []
    let summary: BatchSummary | null = null
    for (const line of (await response.text()).split('\n')) {
      if (!line) continue
      const said = JSON.parse(line) as { summary?: BatchSummary } & BatchLine
      if (said.summary) summary = said.summary
      else if (failed.length < 1000) failed.push(said)
    }
    return { summary, failed }
  },
}
