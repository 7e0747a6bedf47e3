/** Orders: documents and calls (docs/tree.md). Times are RFC 3339 text in UTC. */

import { http, itemsOf, search } from './http'
import type { Page } from './types'

/** The state of a target as people see it: what the target says, and what a probe saw. */
export type Shown =
  | 'issued'
  | 'delivered'
  | 'accepted'
  | 'executing'
  | 'executed'
  | 'rolling_back'
  | 'rolled_back'
  | 'refused'
  | 'failed'
  | 'expired'
  | 'revoked'
  | 'undeliverable'
  | 'verified'
  | 'rolled_back_verified'
  | 'contradicted'
  | 'unverifiable'

export type Step = 'deliver' | 'accept' | 'execute' | 'verify'
export type OrderState = 'drafted' | 'approved' | 'issued' | 'closed' | 'discarded'
export type OrderPriority = 'routine' | 'urgent' | 'immediate' | 'flash'
export type Counts = Partial<Record<Shown, number>>

/** The part of JSON Schema that payloads use (gongfu/tree/orders/payload_schema.py). */
export interface Schema {
  type?: string | string[]
  title?: string
  description?: string
  default?: unknown
  enum?: (string | number)[]
  const?: string | number
  anyOf?: Schema[]
  $ref?: string
  $defs?: Record<string, Schema>
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean | Schema
  items?: Schema
  minItems?: number
  maxItems?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
}

export interface OrderKind {
  name: string
  title: Record<string, string>
  schema: Schema
  approvals: number
  may_issue: string[]
  issuable_here: boolean
  guard: { most_targets?: number; most_share?: number; share_from?: number; most_per_hour?: number }
  /** Whether this node itself carries such orders out. */
  obeyed: boolean
  accept: 'automatic' | 'operator'
  probe: { name: string } | null
  can_roll_back: boolean
}

export interface Query {
  subtree?: string[] | string
  tiers?: string[]
  regions?: string[]
  industries?: string[]
  sizes?: string[]
}

export type Selection = { nodes: string[] } | { nodes?: null; query: Query }

export interface OrderDraft {
  kind: string
  payload: Record<string, unknown>
  selection: Selection
  not_before?: string
  deadline: string
  priority: OrderPriority
  reason: string
}

export interface Approval {
  person: string
  at: string
}

export interface TierProgress {
  tier: string
  counts: Counts
}

export interface Order {
  id: string
  kind: string
  title: Record<string, string>
  payload: Record<string, unknown>
  selection: Selection
  priority: OrderPriority
  not_before: string | null
  deadline: string
  reason: string
  issuer: { id: string; name: string }
  own: boolean
  authors: string[]
  approvals: Approval[]
  approvals_needed: number
  digest: string
  state: OrderState
  created_at: string
  issued_at: string | null
  targets: number
  progress: TierProgress[]
  totals: Counts
  overdue: number
  escalated: number
  revoked: boolean
  /** What this node itself does with it, when it is a target. */
  here: { state: Shown; reason: string; detail: string; at: string; attempt: number; waits: boolean } | null
}

export interface Target {
  node: string
  name: string
  tier: string
  /** Names of the nodes above it, root first. */
  path: string[]
  state: Shown
  /** The target's own register, without what a probe saw. */
  said?: Shown
  reason: string
  detail: string
  at: string | null
  attempt: number
  verdict: { finding: 'verified' | 'contradicted' | 'unverifiable'; evidence: string; reason: string; at: string } | null
  /** Two contents under one revision were seen, as after a restored backup. */
  conflict: boolean
  /** The step that is late, or nothing. */
  overdue: '' | Step
  escalated: '' | Step
}

export interface AuditItem {
  time: string
  user: string
  action: string
  resource: string
  reason: string
  detail: string
}

export interface Preview {
  targets: number
  by_tier: Record<string, number>
  guard: { ok: boolean; reasons: string[] }
}

const path = (id: string) => `/orders/${encodeURIComponent(id)}`

export const orders = {
  kinds: () => http.get<OrderKind[] | Page<OrderKind>>('/order-kinds').then(itemsOf),
  allow: (kind: string, allowed: boolean | null) => http.post<unknown>(`/order-kinds/${encodeURIComponent(kind)}:allow`, { allowed }),
  list: (query: { state?: string; limit?: number; cursor?: string | null }) => http.get<Page<Order>>(`/orders${search({ ...query })}`),
  get: (id: string) => http.get<Order>(path(id)),
  preview: (body: OrderDraft) => http.post<Preview>('/orders:preview', body),
  create: (body: OrderDraft) => http.post<Order>('/orders', body),
  change: (id: string, body: OrderDraft) => http.patch<Order>(path(id), body),
  approve: (id: string, digest: string) => http.post<Order>(`${path(id)}:approve`, { digest }),
  issue: (id: string) => http.post<Order>(`${path(id)}:issue`),
  discard: (id: string) => http.post<unknown>(`${path(id)}:discard`),
  revoke: (id: string, reason: string) => http.post<Order>(`${path(id)}:revoke`, { reason }),
  accept: (id: string) => http.post<Order>(`${path(id)}:accept`),
  refuse: (id: string, reason: string) => http.post<Order>(`${path(id)}:refuse`, { reason }),
  targets: (id: string, query: { state?: string; tier?: string; limit?: number; cursor?: string | null }) =>
    http.get<Page<Target>>(`${path(id)}/targets${search({ ...query })}`),
  audit: (id: string) => http.get<AuditItem[] | Page<AuditItem>>(`${path(id)}/audit?limit=200`).then(itemsOf),
}
