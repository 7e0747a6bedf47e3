/** Roll-outs: an order in waves, each behind a gate. Times are RFC 3339 text in UTC. */

import { http, search } from './http'
import type { Counts, OrderDraft } from './orders'
import type { Page } from './types'

export type RolloutState = 'running' | 'paused' | 'done' | 'failed' | 'stopped'
export type WaveState = 'waiting' | 'issued' | 'passed' | 'revoked' | 'discarded'
/** What is revoked when a gate is not passed. */
export type OnFailure = 'all' | 'wave' | 'none'

export interface Wave {
  order: string
  targets: number
  state: WaveState
  issued_at: string | null
  passed_at: string | null
  totals: Counts
}

export interface Rollout {
  id: string
  kind: string
  payload: Record<string, unknown>
  state: RolloutState
  reason: string
  why: string
  author: string
  created_at: string
  targets: number
  verified_share: number
  within_seconds: number
  soak_seconds: number
  on_failure: OnFailure
  approvals: string[]
  approvals_needed: number
  digest: string
  waves: Wave[]
}

export interface NewRollout extends Omit<OrderDraft, 'not_before'> {
  canaries: number
  shares: number[]
  verified_share: number
  within_seconds: number
  soak_seconds: number
  on_failure: OnFailure
}

const path = (id: string) => `/rollouts/${encodeURIComponent(id)}`

export const rollouts = {
  list: (query: { limit?: number; cursor?: string | null }) => http.get<Page<Rollout>>(`/rollouts${search({ ...query })}`),
  create: (body: NewRollout) => http.post<Rollout>('/rollouts', body),
  approve: (id: string, digest: string) => http.post<Rollout>(`${path(id)}:approve`, { digest }),
  pause: (id: string, reason: string) => http.post<Rollout>(`${path(id)}:pause`, { reason }),
  resume: (id: string) => http.post<Rollout>(`${path(id)}:resume`),
  stop: (id: string, reason: string) => http.post<Rollout>(`${path(id)}:stop`, { reason, take_back: true }),
}
