/** What a line says at a time, and its summary over a window. Pure. */

import type { Severity } from '@/format/quality'
import { gapLimit, type Line } from './columns'

export interface Reading {
  time: number
  value: number | null
  quality: Severity
}

/** Index of the last time at or before `time`, or -1. */
export function indexAt(times: readonly number[], time: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle]! <= time) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** The value that was valid at a time; nothing inside a gap. State points hold until they change. */
export function readingAt(line: Line, time: number, bucketMs: number | null, steps: boolean): Reading | null {
  const index = indexAt(line.times, time)
  const at = line.times[index]
  if (at === undefined) return null
  const limit = steps ? null : gapLimit(line.times, bucketMs)
  if (limit !== null && time - at > limit) return null
  return { time: at, value: line.values[index] ?? null, quality: line.qualities[index] ?? 'good' }
}

export interface Summary {
  min: number
  max: number
  count: number
}

/** Extremes of the usable values in a window; bad values do not count. */
export function summaryOf(line: Line, from: number, to: number): Summary | null {
  let min = Infinity
  let max = -Infinity
  let count = 0
  line.times.forEach((time, index) => {
    const value = line.values[index]
    if (time < from || time > to || value === null || value === undefined || line.qualities[index] === 'bad') return
    min = Math.min(min, value)
    max = Math.max(max, value)
    count += 1
  })
  return count ? { min, max, count } : null
}
