/** Pure: the 120 s of rates behind the chart, extended by every live overview document. */

import type { Overview, RateSample } from '@/api/types'

export const HISTORY_S = 120

export function sampleOf(overview: Overview): RateSample {
  const { points, messages, shed, rejected } = overview.rates
  return { time: overview.time, points, messages, shed, rejected }
}

/** Add a sample unless its second is there; keep the newest 120 seconds, in order. */
export function extend(history: readonly RateSample[], sample: RateSample): RateSample[] {
  const second = (entry: RateSample) => Math.floor(Date.parse(entry.time) / 1000)
  const last = second(sample)
  const kept = history.filter((entry) => second(entry) < last && second(entry) > last - HISTORY_S)
  return [...kept, sample]
}

/** Columns for the chart; a second without a sample is a gap (null), not a zero. */
export function chartColumns(history: readonly RateSample[]): [number[], (number | null)[], (number | null)[]] {
  const times: number[] = []
  const points: (number | null)[] = []
  const shed: (number | null)[] = []
  for (const entry of history) {
    const second = Math.floor(Date.parse(entry.time) / 1000)
    const last = times[times.length - 1]
    if (last !== undefined && second - last > 2) {
      times.push(last + 1)
      points.push(null)
      shed.push(null)
    }
    times.push(second)
    points.push(entry.points)
    shed.push(entry.shed)
  }
  return [times, points, shed]
}
