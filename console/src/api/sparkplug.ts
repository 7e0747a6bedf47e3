/** Sparkplug edge nodes that send to this node, and commands to them (docs/conformance/sparkplug.md). */

import { http, search } from './http'
import type { Page } from './types'

export type Phase = 'unseen' | 'unborn' | 'alive' | 'dead'

/** `edge` is `<group>/<edge node>`; `device` the id of the device that it signs in as. */
export interface EdgeNode {
  device: number
  edge: string
  phase: Phase
  online: boolean
  since: string | null
  bd_seq: number | null
  devices: Record<string, boolean>
  gaps: number
  duplicates: number
  deaths_ignored: number
}

export interface CommandAnswer {
  confirmed: boolean
  sent_at: string
  confirmed_at: string | null
  missing: Record<string, unknown>
  reported: Record<string, unknown>
}

export const REBIRTH = 'Node Control/Rebirth'
// The node waits this long for the effect, and the browser longer.
const WAIT_S = 10
const TIMEOUT_MS = 45_000

export const sparkplug = {
  nodes: (query: { limit?: number; after?: string | null }) => http.get<Page<EdgeNode>>(`/sparkplug/nodes${search({ ...query })}`),
  command: (node: EdgeNode, device: string, values: Record<string, unknown>) =>
    http.post<CommandAnswer>('/sparkplug/commands', { edge: node.edge, device, sender: node.device, values, wait: WAIT_S }, { timeout: TIMEOUT_MS }),
}
