/** What a state of a connection looks like. */

import type { Connection, ConnectionState } from '@/api/connections'

export type Shown = ConnectionState | 'unknown'

export const MARKS = { online: 'on', paused: 'disabled', connecting: 'off', waiting: 'warn', unusable: 'fail', unknown: 'off' } as const satisfies Record<Shown, string>

/** A paused connection is paused whether or not the process that runs the others answers. */
export function shownState(connection: Pick<Connection, 'paused' | 'status'>): Shown {
  if (connection.paused) return 'paused'
  return connection.status?.state ?? 'unknown'
}

/** UTC nanoseconds as milliseconds; null for never. */
export function milliseconds(nanoseconds: number): number | null {
  return nanoseconds > 0 ? nanoseconds / 1e6 : null
}

export function total(counts: Readonly<Record<string, number>> | undefined): number {
  return Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0)
}
