/** Nodes of the tree: documents and calls (docs/tree.md). Ids have 24 characters, times are RFC 3339 text in UTC. */

import { http, search } from './http'
import type { Page } from './types'

export type NodeState = 'active' | 'suspended' | 'retired'
export type NodeHealth = 'ok' | 'degraded' | 'silent' | 'unknown'

/** A node as a step of a path. */
export interface NodeStep {
  id: string
  name: string
  tier: string
}

export interface NodeLink {
  up: boolean
  since: string | null
  waiting: number
  lag_seconds: number
  clock_offset_seconds: number | null
  skewed: boolean
  round_trip_ms: number | null
}

/** Figures of a subtree. `known` nodes are there; of `reported` ones they are in it and fresh, of `silent` ones in it but old. */
export interface LiveFigures {
  devices: number | null
  online: number | null
  points_per_second: number | null
  alarms: number | null
  apps: number | null
  identifiers: number | null
  as_of: string | null
  known: number
  reported: number
  silent: number
}

export interface NodeAttributes {
  region?: string
  industry?: string
  size?: string
}

export interface TreeNode extends NodeStep {
  parent: string
  prefix: string
  state: NodeState
  attributes: NodeAttributes
  revision: number
  valid_until: string
  children: number
  descendants: number
  version: string | null
  health: NodeHealth
  heard_at: string | null
  link: NodeLink | null
  live: LiveFigures | null
  /** Where people reach its own console, if it has said so. */
  console?: string | null
  path?: NodeStep[]
}

export interface OwnNode {
  enrolled: boolean
  version: string
  id?: string
  name?: string
  tier?: string
  prefix?: string
  state?: NodeState
  parent?: { id: string; name: string; address: string; console?: string | null } | null
  path?: NodeStep[]
  revision?: number
  valid_until?: string
  link?: NodeLink | null
}

/** The own node once it is in a tree. */
export type Enrolled = OwnNode & Required<Pick<OwnNode, 'id' | 'name' | 'tier' | 'prefix' | 'state' | 'path'>>

export interface JoinToken {
  name: string
  tier: string
  prefix: string
  state: string
  node: string | null
  valid_until: string
}

export interface NewToken {
  tier: string
  prefix: string
  valid_seconds: number
  attributes?: NodeAttributes
}

export interface NodeQuery {
  parent?: string
  search?: string
  state?: string
  limit?: number
  cursor?: string | null
}

const part = encodeURIComponent

export const tree = {
  own: () => http.get<OwnNode>('/tree/node'),
  found: (body: { name: string; tier: string; prefix: string; attributes?: NodeAttributes }) => http.post<OwnNode>('/tree:found', body),
  join: (body: { token: string; name: string; attributes?: NodeAttributes }) => http.post<OwnNode>('/tree:join', body),
  rehome: (body: { token: string; release: string }) => http.post<unknown>('/tree:rehome', body),
  nodes: (query: NodeQuery) => http.get<Page<TreeNode>>(`/tree/nodes${search({ ...query })}`),
  node: (id: string) => http.get<TreeNode>(`/tree/nodes/${part(id)}`),
  change: (id: string, change: 'suspend' | 'resume' | 'retire', reason: string) =>
    http.post<unknown>(`/tree/nodes/${part(id)}:${change}`, { reason }),
  release: (id: string, body: { to: string; keep_prefix: boolean; reason: string }) =>
    http.post<{ release: string }>(`/tree/nodes/${part(id)}:release`, body),
  tokens: (query: { limit?: number; cursor?: string | null } = {}) => http.get<Page<JoinToken>>(`/tree/tokens${search({ ...query })}`),
  issueToken: (body: NewToken) => http.post<{ name: string; token: string; tier: string; prefix: string; valid_until: string }>('/tree/tokens', body),
  revokeToken: (name: string) => http.post<unknown>(`/tree/tokens/${part(name)}:revoke`),
}
