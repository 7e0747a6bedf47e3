/** Columns behind the trend: sorted, merged with live values, gaps kept as gaps. Pure; times are ms since 1970. */

import type { LatestOfSeries, PointValue, SeriesColumns } from '@/api/types'
import { severity, type Severity } from '@/format/quality'

/** One point's line: three arrays of one length, ascending in time. */
export interface Line {
  times: number[]
  values: (number | null)[]
  qualities: Severity[]
}

export function emptyLine(): Line {
  return { times: [], values: [], qualities: [] }
}

/** A value that can be drawn; booleans are steps of 0 and 1, text cannot be drawn. */
export function drawable(value: PointValue): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value === 'boolean') return value ? 1 : 0
  return null
}

export function toMs(time: number | string): number {
  return typeof time === 'number' ? time : Date.parse(time)
}

export function lineOf(columns: SeriesColumns): Line {
  const line = emptyLine()
  columns.times.forEach((time, index) => {
    line.times.push(toMs(time))
    line.values.push(drawable(columns.values[index] ?? null))
    line.qualities.push(severity(columns.qualities?.[index]))
  })
  return sorted(line)
}

function sorted(line: Line): Line {
  if (line.times.every((time, index) => index === 0 || time >= (line.times[index - 1] ?? 0))) return line
  const order = line.times.map((_, index) => index).sort((a, b) => line.times[a]! - line.times[b]!)
  return {
    times: order.map((index) => line.times[index]!),
    values: order.map((index) => line.values[index]!),
    qualities: order.map((index) => line.qualities[index]!),
  }
}

/**
 * The newer answer replaces what the held line has from its first time on: a correction wins, late data comes in,
 * nothing shows twice.
 */
export function mergeTail(held: Line, tail: Line): Line {
  const first = tail.times[0]
  if (first === undefined) return held
  let keep = held.times.length
  while (keep > 0 && held.times[keep - 1]! >= first) keep -= 1
  return {
    times: [...held.times.slice(0, keep), ...tail.times],
    values: [...held.values.slice(0, keep), ...tail.values],
    qualities: [...held.qualities.slice(0, keep), ...tail.qualities],
  }
}

/** A live value extends the line; one that is not newer than its end is left to the next query. */
export function appendLatest(held: Line, latest: LatestOfSeries): Line {
  const time = Date.parse(latest.time)
  const last = held.times[held.times.length - 1]
  if (last !== undefined && time <= last) return held
  return {
    times: [...held.times, time],
    values: [...held.values, drawable(latest.value)],
    qualities: [...held.qualities, severity(latest.quality)],
  }
}

/** Drop what lies before `from`, but keep one point there so that the line enters from the left edge. */
export function trimmed(line: Line, from: number): Line {
  let start = line.times.findIndex((time) => time >= from)
  if (start === -1) start = line.times.length
  if (start <= 1) return line
  return { times: line.times.slice(start - 1), values: line.values.slice(start - 1), qualities: line.qualities.slice(start - 1) }
}

/** The usual distance of neighbours: the median, which a few gaps do not move. */
export function medianStep(times: readonly number[]): number | null {
  if (times.length < 3) return null
  const steps = times.slice(1).map((time, index) => time - times[index]!).filter((step) => step > 0).sort((a, b) => a - b)
  return steps[Math.floor(steps.length / 2)] ?? null
}

/** Points of `then` whose value or quality is another one `now`, or that are not there any more. */
export function differing(then: Line, now: Line): [number, number][] {
  const place = new Map(now.times.map((time, index) => [time, index]))
  const found: [number, number][] = []
  then.times.forEach((time, index) => {
    const at = place.get(time)
    const value = then.values[index] ?? null
    const same = at !== undefined && (now.values[at] ?? null) === value && now.qualities[at] === then.qualities[index]
    if (!same && value !== null && time >= (now.times[0] ?? Infinity)) found.push([time, value])
  })
  return found
}

const GAP_FACTOR = 5

/** Distance beyond which neighbours are not joined. Buckets without values are gaps from the second one on. */
export function gapLimit(times: readonly number[], bucketMs: number | null): number | null {
  const median = medianStep(times)
  if (median === null && bucketMs === null) return null
  return Math.max((median ?? 0) * GAP_FACTOR, (bucketMs ?? 0) * 2.5)
}

/**
 * The line of intervals without those that lie in a silence: values came in at `arrivals` (starts of the intervals
 * that have any). What is calculated across a silence is not drawn as if it had been measured.
 */
export function withoutSilence(line: Line, arrivals: readonly number[], bucketMs: number): Line {
  const limit = gapLimit(arrivals, bucketMs)
  if (limit === null) return line
  const silences = arrivals.flatMap((time, index) => {
    const next = arrivals[index + 1]
    return next !== undefined && next - time > limit ? [[time, next] as const] : []
  })
  let at = 0
  const values = line.values.map((value, index) => {
    const time = line.times[index]!
    while (at < silences.length && silences[at]![1] <= time) at += 1
    const silence = silences[at]
    return silence && time > silence[0] && time < silence[1] ? null : value
  })
  return { ...line, values }
}

/** Points by how they are drawn. `null` breaks the line; bad values are never part of it. */
export interface Drawn {
  times: number[]
  line: (number | null)[]
  uncertain: [number, number][]
  bad: [number, number][]
}

export function drawn(line: Line, bucketMs: number | null, steps = false): Drawn {
  const limit = steps ? null : gapLimit(line.times, bucketMs)
  const out: Drawn = { times: [], line: [], uncertain: [], bad: [] }
  line.times.forEach((time, index) => {
    const before = line.times[index - 1]
    if (limit !== null && before !== undefined && time - before > limit) {
      out.times.push(before + 1)
      out.line.push(null)
    }
    const value = line.values[index] ?? null
    const quality = line.qualities[index]
    out.times.push(time)
    out.line.push(quality === 'bad' ? null : value)
    if (value === null) return
    if (quality === 'bad') out.bad.push([time, value])
    if (quality === 'uncertain') out.uncertain.push([time, value])
  })
  return out
}

/**
 * Columns on one time axis. `undefined` only says that this line has no point at that time (uPlot draws on);
 * `null` is a gap.
 */
export function aligned(lines: readonly Drawn[]): { times: number[]; columns: (number | null | undefined)[][] } {
  const times = [...new Set(lines.flatMap((line) => line.times))].sort((a, b) => a - b)
  const place = new Map(times.map((time, index) => [time, index]))
  const columns = lines.map((line) => {
    const column = new Array<number | null | undefined>(times.length).fill(undefined)
    line.times.forEach((time, index) => {
      const at = place.get(time)!
      // Two values at one time (the two ends of a bucket may coincide): the later one stays, a gap never hides it.
      if (line.line[index] !== null || column[at] === undefined) column[at] = line.line[index]
    })
    return column
  })
  return { times, columns }
}
