/** Mechanism models: versions, bindings, calls, back-fills, usage (docs/models.md). */

import { http, search, send } from './http'
import type { Page } from './types'

export const KINDS = ['python', 'fmu', 'onnx', 'table', 'sql'] as const
export type Kind = (typeof KINDS)[number]

export interface Port {
  name: string
  unit: string
  point?: string
  description: string
}

export interface Parameter {
  name: string
  unit: string
  default: number
  minimum: number | null
  maximum: number | null
  description: string
}

export interface Version {
  version: string
  kind: Kind
  current: boolean
  sha256: string
  size: number
  created_by: string
  created_at: string | null
  warnings: string[]
}

export interface Binding {
  id: number
  asset_path: string
  assets: string
  type: string
  version: string
  owner: string
  status: string
  error: string
  evaluated: number
  failed: number
  incomplete: number
  late: number
  not_numbers: number
  counts: Record<string, number>
  running_version: string
  cpu_s: number
  behind: number
  last_at: string | null
}

export interface Mechanism {
  id: string
  name: string
  title: { zh: string; en: string }
  version: string
  kind: Kind
  description: string
  inputs: Port[]
  outputs: Port[]
  parameters: Parameter[]
  tolerance_s: number
  wait_s: number
  step_s: number | null
  state: boolean
  owner: string
  removable: boolean
  limits: { memory_bytes: number; cpu_s: number; wall_s: number }
  quota: { calls_per_minute: number; rows_per_minute: number }
  versions: Version[]
  bindings: Binding[]
}

export interface Inspection {
  sha256: string
  size: number
  description: {
    kind: Kind
    id: string
    version: string
    name: string
    description: string
    inputs: Port[]
    outputs: Port[]
    parameters: Parameter[]
    has_state: boolean
    facts: Record<string, string>
    warnings: string[]
  }
}

export interface Answer {
  version: string
  columns: Record<string, (number | null)[]>
  units: Record<string, string>
  times: string[]
  rows: number
  not_numbers: number
  cpu_s: number
  notes: string[]
}

export interface AssetState {
  asset_path: string
  status: string
  reason: string
  evaluated: number
  failed: number
  incomplete: number
  last_at: string | null
  note: string
}

export interface Job {
  id: number
  assets: string
  from: string
  to: string
  state: string
  error: string
  created_at: string
  progress: { share: number; assets: number; assets_done: number; rows: number; points: number; failed: number }
}

export interface UsageRow {
  model: string
  caller: string
  calls: number
  rows: number
  cpu_s: number
  failures: number
  refused: number
}

export interface Quota {
  artifacts: number
  artifact_bytes: number
  artifact_bytes_most: number
  backfills: number
  backfills_most: number
}

export interface BindingDraft {
  asset?: string
  assets?: string
  type?: string
  assume_units?: boolean
}

const PATIENT_MS = 120_000
const one = (id: string) => `/models/${encodeURIComponent(id)}`

export const mechanisms = {
  list: () => http.get<Mechanism[]>('/models'),
  get: (id: string) => http.get<Mechanism>(one(id)),
  inspect: async (file: File, kind: Kind): Promise<Inspection> => {
    const response = await send('POST', `/models:inspect${search({ kind })}`, undefined, { raw: file, type: 'application/octet-stream', timeout: PATIENT_MS })
    return (await response.json()) as Inspection
  },
  register: (spec: Record<string, unknown>, sha256: string) => http.post<Mechanism>('/models', { spec, sha256 }),
  use: (id: string, version: string) => http.put<Mechanism>(`${one(id)}/current`, { version }),
  remove: (id: string, version = '') => http.delete(`${one(id)}${search({ version })}`),
  bind: (id: string, draft: BindingDraft) => http.put<Mechanism>(`${one(id)}/bindings`, draft),
  unbind: (id: string, binding: number) => http.delete(`${one(id)}/bindings${search({ binding })}`),
  assets: (id: string, binding: number, state: string) => http.get<Page<AssetState>>(`${one(id)}/bindings/${binding}/assets${search({ state, limit: 50 })}`),
  invoke: async (id: string, body: Record<string, unknown>): Promise<Answer> => {
    const response = await send('POST', `${one(id)}:invoke`, body, { timeout: PATIENT_MS })
    return (await response.json()) as Answer
  },
  backfill: (id: string, body: { from: string; to: string; assets: string }) => http.post<Job>(`${one(id)}:backfill`, body),
  jobs: (model: string) => http.get<Page<Job>>(`/model-jobs${search({ model, limit: 10 })}`),
  cancel: (job: number) => http.post<Job>(`/model-jobs/${job}:cancel`),
  quota: () => http.get<Quota>('/model-quota'),
  usage: (hours: number, model = '') => http.get<{ items: UsageRow[] }>(`/model-usage${search({ hours, model })}`),
}
