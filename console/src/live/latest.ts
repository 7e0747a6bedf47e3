/** Pure logic of latest values: which arrival wins, and when a value is stale. */

import type { Latest } from '@/api/types'

/** A latest value is replaced by one with the same or a newer source time; late data changes nothing. */
export function isNewer(candidate: Latest, held: Latest | undefined | null): boolean {
  return !held || Date.parse(candidate.time) >= Date.parse(held.time)
}

export const STALE_AFTER_MS = 60_000

/**
 * A number nobody refreshed for a minute is shown as stale; replays count by arrival, not by source time. States (flags,
 * text) are sent when they change, so their age says nothing.
 */
export function isStale(latest: Latest | null | undefined, now: number): boolean {
  if (!latest || typeof latest.value !== 'number') return false
  return now - Date.parse(latest.ingested_at ?? latest.time) > STALE_AFTER_MS
}
