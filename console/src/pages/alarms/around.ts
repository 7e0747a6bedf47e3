/** Where the trend around an alarm is: its series, some time before and after. Pure. */

import type { Alarm } from '@/api/types'

const MARGIN_MS = 10 * 60_000

export function aroundAlarm(alarm: Pick<Alarm, 'series' | 'raised_at' | 'returned_at'>): { path: string; query: Record<string, string> } {
  const from = Date.parse(alarm.raised_at)
  const to = alarm.returned_at ? Date.parse(alarm.returned_at) : from
  const margin = Math.max(MARGIN_MS, to - from)
  const query = { p: String(alarm.series), from: new Date(from - margin).toISOString(), to: new Date(to + margin).toISOString() }
  return { path: '/trend', query }
}
