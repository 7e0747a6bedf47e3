/** Connections to machines: drivers, the commissioning wizard, status (docs/connect.md). Times of a status are UTC nanoseconds, 0 never. */

import { http, search } from './http'
import type { Page } from './types'

export interface OptionSchema {
  type?: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object'
  enum?: string[]
  default?: unknown
  minimum?: number
  maximum?: number
  maxLength?: number
  description?: string
  writeOnly?: boolean
}

export interface Manifest {
  protocol: string
  schemes: string[]
  title: { zh: string; en: string }
  level: 'bronze' | 'silver' | 'gold'
  capabilities: string[]
  options_schema: { properties?: Record<string, OptionSchema>; required?: string[] }
  address_help: string
}

export interface Address {
  point: string
  where: string
  asset: string
  value_type: string
  unit: string
  scale: number
  offset: number
  every: number
  deadband: number
  swinging_door: number
  writable: boolean
}

export type ConnectionState = 'paused' | 'connecting' | 'online' | 'waiting' | 'unusable'

export interface Failure {
  reason: string
  what: string
  advice: string
  at: number
}

export interface ConnectionStatus {
  state: ConnectionState
  since: number
  attempts: number
  next_attempt: number
  last_error: Failure | null
  values_per_second: number
  counters: Record<string, number>
  rejected: Record<string, number>
  shed: Record<string, number>
  detail: string
  hints: { reason: string; what: string; advice: string }[]
  pending: number
  health: Record<string, unknown>
}

export interface Connection {
  id: number
  name: string
  protocol: string
  url: string
  asset_path: string
  device: number
  points: number
  paused: boolean
  created_at: string
  /** Null while the process that runs it does not answer. */
  status: ConnectionStatus | null
}

export interface ConnectionDetail extends Connection {
  options: Record<string, unknown>
  secrets: string[]
  addresses: Address[]
}

export interface Target {
  url: string
  protocol: string
  options: Record<string, unknown>
}

export interface TestAnswer {
  ok: boolean
  reason: string
  what: string
  advice: string
  seconds: number
  health: Record<string, unknown>
}

export interface ProposedPoint {
  address: Address
  include: boolean
  value: unknown
  quality: string
  description: string
  hint: string
}

export interface Proposal extends Target {
  name: string
  asset: string
  points: ProposedPoint[]
  warnings: string[]
  recording: string
}

export interface MachineNode {
  where: string
  name: string
  kind: 'folder' | 'object' | 'variable' | 'method'
  has_children: boolean
}

export interface MethodArgument {
  name: string
  type_name: string
  array: boolean
  description: string
}

export interface MethodOutput {
  name: string
  value: unknown
  /** What the thing model of the asset finds wrong with it; a rejected one has no value. */
  fault?: string
}

export interface MethodSignature {
  inputs: MethodArgument[]
  outputs: MethodArgument[]
}

// A machine that does not answer is given up by the node first, with a reason.
const MACHINE_MS = 120_000

export const connections = {
  drivers: () => http.get<{ items: Manifest[] }>('/drivers').then((answer) => answer.items),
  list: (query: { limit?: number; cursor?: string | null }) => http.get<Page<Connection>>(`/connections${search({ ...query })}`),
  get: (id: string | number) => http.get<ConnectionDetail>(`/connections/${encodeURIComponent(String(id))}`),
  change: (id: number, body: { paused?: boolean; addresses?: Address[]; options?: Record<string, unknown>; url?: string }) =>
    http.patch<ConnectionDetail>(`/connections/${id}`, body),
  remove: (id: number) => http.delete(`/connections/${id}`),
  test: (target: Target) => http.post<TestAnswer>('/connections:test', target, { timeout: MACHINE_MS }),
  preview: (body: { target: Target; name?: string; asset?: string }) => http.post<Proposal>('/connections:preview', body, { timeout: MACHINE_MS }),
  apply: (proposal: Proposal) => http.post<ConnectionDetail>('/connections:apply', proposal),
  browse: (id: number, parent: string) =>
    http.post<{ items: MachineNode[]; next: string | null }>('/connections:browse', { target: { connection: id }, parent, limit: 500 }, { timeout: MACHINE_MS }),
  signature: (id: number, method: string) => http.post<MethodSignature>(`/connections/${id}:signature`, { method }, { timeout: MACHINE_MS }),
  call: (id: number, body: { method: string; object: string; arguments: unknown[] }) =>
    http.post<{ outputs: MethodOutput[]; faults?: string[] }>(`/connections/${id}:call`, body, { timeout: MACHINE_MS }),
  write: (id: number, body: { point: string; asset: string; value: unknown }) =>
    http.post<{ confirmed: boolean | null; read_back: unknown; detail: string }>(`/connections/${id}:write`, body, { timeout: MACHINE_MS }),
}
