/** Pictures of key figures as plain geometry. Pure. */

import type { Priority } from '@/api/types'

export interface Band {
  /** Alarms in 10 minutes up to which the band goes; the last one has no end. */
  upTo: number
  word: 'acceptable' | 'manageable' | 'demanding' | 'flood'
}

/** Load by EEMUA 191: on average one in 10 minutes is very likely acceptable, two manageable; more than ten a flood. */
export const BANDS: readonly Band[] = [
  { upTo: 1, word: 'acceptable' },
  { upTo: 2, word: 'manageable' },
  { upTo: 10, word: 'demanding' },
  { upTo: Infinity, word: 'flood' },
]

/** Distribution of annunciations by priority that EEMUA 191 asks for, percent. */
export const TARGET: Record<'low' | 'medium' | 'high', number> = { low: 80, medium: 15, high: 5 }

export function bandOf(count: number): Band['word'] {
  return (BANDS.find((band) => count <= band.upTo) ?? BANDS[BANDS.length - 1]!).word
}

export interface Bar {
  x: number
  width: number
  height: number
  word: Band['word']
  count: number
  /** Index of the first period in it. */
  at: number
}

/** Bars of at most `most` columns; of periods that share one the greatest counts. */
export function bars(rate: readonly number[], most: number, top: number): Bar[] {
  const each = Math.max(1, Math.ceil(rate.length / most))
  const columns = Math.ceil(rate.length / each)
  return Array.from({ length: columns }, (_, column) => {
    const at = column * each
    const count = Math.max(...rate.slice(at, at + each))
    return { x: column / columns, width: 1 / columns, height: top > 0 ? count / top : 0, word: bandOf(count), count, at }
  }).filter((bar) => bar.count > 0)
}

export interface Arc {
  priority: Priority
  count: number
  path: string
}

function spot(turn: number, radius: number): string {
  const angle = 2 * Math.PI * turn - Math.PI / 2
  return `${(radius * Math.cos(angle)).toFixed(2)} ${(radius * Math.sin(angle)).toFixed(2)}`
}

/** Parts of a ring around 0,0 with radii 30 and 46. */
export function ring(counts: Record<Priority, number>, order: readonly Priority[]): Arc[] {
  const total = order.reduce((sum, priority) => sum + (counts[priority] ?? 0), 0)
  let done = 0
  return order.flatMap((priority) => {
    const count = counts[priority] ?? 0
    if (!count) return []
    const from = done / total
    done += count
    // A whole turn begins where it ends, which would draw nothing.
    const to = Math.min(done / total, from + 0.9999)
    const large = to - from > 0.5 ? 1 : 0
    const path = `M ${spot(from, 46)} A 46 46 0 ${large} 1 ${spot(to, 46)} L ${spot(to, 30)} A 30 30 0 ${large} 0 ${spot(from, 30)} Z`
    return [{ priority, count, path }]
  })
}
