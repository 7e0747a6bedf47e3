/** Pure: the picture of a back-test as SVG geometry. */

import type { SeriesColumns, WouldBeAlarm } from '@/api/types'

export const WIDTH = 900
export const TREND_HEIGHT = 200
export const LANE = 14
export const DAYS_HEIGHT = 110
const LEFT = 46
const RIGHT = 8

export interface Span {
  x: number
  width: number
  alarm: WouldBeAlarm
}

export interface TrendPicture {
  line: string
  spans: Span[]
  limit: number | null
  low: string
  high: string
  ticks: { x: number; label: string }[]
}

const short = (value: number) => String(Number(value.toPrecision(4)))

/** Where a time is. */
export function xOf(time: number, from: number, to: number): number {
  return LEFT + ((time - from) / Math.max(1, to - from)) * (WIDTH - LEFT - RIGHT)
}

/** The line of a point, the would-be alarms on it as bands, and the limit. A silence breaks the line. */
export function trendPicture(columns: SeriesColumns | undefined, alarms: WouldBeAlarm[], from: number, to: number, stepMs: number, limit: number | null): TrendPicture {
  const samples = (columns?.times ?? []).map((time, at) => [Number(time), columns?.values[at]] as const).filter((pair): pair is readonly [number, number] => typeof pair[1] === 'number')
  const values = samples.map(([, value]) => value)
  if (limit !== null) values.push(limit)
  const low = values.length ? Math.min(...values) : 0
  const high = values.length ? Math.max(...values) : 1
  const height = (value: number) => 8 + (1 - (value - low) / (high - low || 1)) * (TREND_HEIGHT - 16)
  let line = ''
  let before = Number.NEGATIVE_INFINITY
  for (const [time, value] of samples) {
    line += `${time - before > stepMs * 2.5 ? 'M' : 'L'}${xOf(time, from, to).toFixed(1)} ${height(value).toFixed(1)}`
    before = time
  }
  const spans = alarms.map((alarm) => {
    const begin = xOf(Date.parse(alarm.raised_at), from, to)
    const end = xOf(alarm.returned_at ? Date.parse(alarm.returned_at) : to, from, to)
    return { x: begin, width: Math.max(1.5, end - begin), alarm }
  })
  return { line, spans, limit: limit === null ? null : height(limit), low: short(low), high: short(high), ticks: ticks(from, to) }
}

function ticks(from: number, to: number): { x: number; label: string }[] {
  const days = to - from > 2 * 86_400_000
  return [0, 1, 2, 3, 4].map((part) => {
    const time = from + ((to - from) * part) / 4
    const date = new Date(time)
    const two = (value: number) => String(value).padStart(2, '0')
    const label = days ? `${two(date.getMonth() + 1)}-${two(date.getDate())}` : `${two(date.getHours())}:${two(date.getMinutes())}`
    return { x: xOf(time, from, to), label }
  })
}

export interface Bar {
  x: number
  y: number
  width: number
  height: number
  day: string
  raised: number
}

/** Bars of alarms by day. */
export function dayBars(days: { day: string; raised: number }[]): { bars: Bar[]; most: number } {
  const most = Math.max(1, ...days.map((day) => day.raised))
  const room = (WIDTH - LEFT - RIGHT) / Math.max(1, days.length)
  const bars = days.map((day, at) => {
    const height = (day.raised / most) * (DAYS_HEIGHT - 26)
    return { x: LEFT + at * room + room * 0.1, y: DAYS_HEIGHT - 18 - height, width: Math.max(1, room * 0.8), height, day: day.day, raised: day.raised }
  })
  return { bars, most }
}
