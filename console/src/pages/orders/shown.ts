/** The states of a target as they are drawn: what a probe saw is solid, what the target only says is hatched. */

import type { Counts, Shown } from '@/api/orders'

/** Left to right in a bar: the proven first, then what is on its way, what waits, and what went wrong. */
export const STATES: readonly Shown[] = [
  'verified',
  'rolled_back_verified',
  'executed',
  'rolled_back',
  'executing',
  'rolling_back',
  'accepted',
  'delivered',
  'issued',
  'unverifiable',
  'contradicted',
  'failed',
  'refused',
  'expired',
  'revoked',
  'undeliverable',
]

const TERMINAL = new Set<Shown>(['refused', 'failed', 'expired', 'revoked', 'undeliverable', 'verified', 'rolled_back_verified', 'contradicted', 'unverifiable'])

/** A sign beside the pattern, for those who do not see it. */
export const SIGNS: Record<Shown, string> = {
  verified: '✓',
  rolled_back_verified: '↶',
  executed: '…',
  rolled_back: '↶',
  executing: '▸',
  rolling_back: '◂',
  accepted: '+',
  delivered: '↓',
  issued: '',
  unverifiable: '?',
  contradicted: '✕',
  failed: '!',
  refused: '−',
  expired: '×',
  revoked: '/',
  undeliverable: '∅',
}

export interface Part {
  state: Shown
  count: number
}

/** The states that have targets, in drawing order. */
export function partsOf(counts: Counts): Part[] {
  return STATES.map((state) => ({ state, count: counts[state] ?? 0 })).filter((part) => part.count > 0)
}

export function targetsOf(counts: Counts): number {
  return partsOf(counts).reduce((sum, part) => sum + part.count, 0)
}

/** How many have come to their end, whichever it was. */
export function endedOf(counts: Counts): number {
  return partsOf(counts).reduce((sum, part) => sum + (TERMINAL.has(part.state) ? part.count : 0), 0)
}
