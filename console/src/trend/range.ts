/** Time ranges of the trend: a preset that follows the data, or a fixed from-to. Pure; times are ms since 1970. */

import { aggregateOf, type TrendAggregate } from './aggregates'

export const PRESETS = ['1m', '5m', '15m', '1h', '6h', '24h', '7d', '30d', '90d'] as const
export type Preset = (typeof PRESETS)[number]

export type TrendRange = { kind: 'follow'; preset: Preset } | { kind: 'fixed'; from: number; to: number }

const UNIT: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

export function lengthOf(preset: Preset): number {
  return Number(preset.slice(0, -1)) * (UNIT[preset.slice(-1)] ?? 0)
}

export interface Window {
  from: number
  to: number
  /** The right edge is the newest value of a recording, not the present. */
  replay: boolean
}

/**
 * Window of a range. A following range ends now, unless the newest value of the chosen points is so old that the
 * present would show nothing (a recording with its own times): then it ends at that value.
 */
export function resolveRange(range: TrendRange, now: number, newest: number | null): Window {
  if (range.kind === 'fixed') return { from: range.from, to: range.to, replay: false }
  const length = lengthOf(range.preset)
  const replay = newest !== null && newest < now - length
  const to = replay ? newest : now
  return { from: to - length, to, replay }
}

const MIN_LENGTH = 1000

/** Zoom about the middle: factor 0.5 shows half the time. */
export function zoomed(window: { from: number; to: number }, factor: number, at?: number): TrendRange {
  const middle = at ?? (window.from + window.to) / 2
  const from = middle - (middle - window.from) * factor
  const to = middle + (window.to - middle) * factor
  if (to - from < MIN_LENGTH) return { kind: 'fixed', from: middle - MIN_LENGTH / 2, to: middle + MIN_LENGTH / 2 }
  return { kind: 'fixed', from: Math.round(from), to: Math.round(to) }
}

/** Move by a share of the width: -0.5 is half a screen to the past. */
export function moved(window: { from: number; to: number }, share: number): TrendRange {
  const by = (window.to - window.from) * share
  return { kind: 'fixed', from: Math.round(window.from + by), to: Math.round(window.to + by) }
}

/** Steps that read well: seconds for buckets, never finer than a pixel needs. */
const STEPS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400]

/** Bucket for a window drawn on `pixels`: two pixels a bucket, as minmax gives two values each. */
export function stepFor(window: { from: number; to: number }, pixels: number): number {
  const wanted = ((window.to - window.from) / 1000 / Math.max(100, pixels)) * 2
  return STEPS_S.find((step) => step >= wanted) ?? 86_400
}

/** State of the trend in the address, so that it can be shared. */
export interface TrendState {
  series: number[]
  range: TrendRange
  live: boolean
  /** One value an interval instead of the minimum and maximum. */
  aggregate?: TrendAggregate
  /** As the history knew it then (ms since 1970), without later corrections. */
  asOf?: number
}

export const MAX_SERIES = 12

export function stateToQuery(state: TrendState): Record<string, string> {
  const query: Record<string, string> = {}
  if (state.series.length) query.p = state.series.join(',')
  if (state.range.kind === 'follow') query.r = state.range.preset
  else {
    query.from = new Date(state.range.from).toISOString()
    query.to = new Date(state.range.to).toISOString()
  }
  if (!state.live) query.live = '0'
  if (state.aggregate) query.how = state.aggregate
  if (state.asOf !== undefined) query.known = new Date(state.asOf).toISOString()
  return query
}

export function queryToState(query: Record<string, unknown>): TrendState {
  const series = String(query.p ?? '')
    .split(',')
    .filter((text) => /^\d{1,10}$/.test(text))
    .map(Number)
  const from = Date.parse(String(query.from ?? ''))
  const to = Date.parse(String(query.to ?? ''))
  const preset = PRESETS.find((entry) => entry === query.r) ?? '15m'
  const aggregate = aggregateOf(query.how)
  const asOf = Date.parse(String(query.known ?? ''))
  const fixed = Number.isFinite(from) && Number.isFinite(to) && to > from
  return {
    series: [...new Set(series)].slice(0, MAX_SERIES),
    range: fixed ? { kind: 'fixed', from, to } : { kind: 'follow', preset },
    live: !fixed && query.live !== '0',
    ...(aggregate ? { aggregate } : {}),
    ...(Number.isFinite(asOf) ? { asOf } : {}),
  }
}
