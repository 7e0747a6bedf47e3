/** Pure: which assets are demo plants, and what of them the page shows. */

import type { Asset, Point } from '@/api/types'

export type DemoKind = 'tep' | 'nab'

export function demoKindOf(asset: Pick<Asset, 'attributes'>): DemoKind | null {
  const kind = asset.attributes.demo
  return kind === 'tep' || kind === 'nab' ? kind : null
}

/** Disturbances of the published problem (Downs & Vogel 1993, table 8). */
export const FAULTS: readonly number[] = Array.from({ length: 20 }, (_, index) => index + 1)
/** Near-undetectable ones, kept apart in the literature. */
export const SUBTLE: ReadonlySet<number> = new Set([3, 9, 15])

/** Points by `child/name`, relative to the plant; the plant's own points have no child. */
export function pointsByName(points: readonly Point[], plant: string): Map<string, Point> {
  return new Map(
    points.map((point) => {
      const child = point.asset_path === plant ? '' : `${point.asset_path.slice(plant.length + 1)}/`
      return [`${child}${point.name}`, point]
    }),
  )
}

/** Command for the plant (ThingsBoard's RPC form, docs/demo.md). */
export function disturbanceCommand(number: number, active: boolean): string {
  return JSON.stringify({ method: 'setDisturbance', params: { number, active } })
}

/** Flags come as booleans, from older plants as numbers. */
export function isOn(value: unknown): boolean {
  return value === true || (typeof value === 'number' && value > 0.5)
}

export interface Label {
  point: string
  x: number
  y: number
  digits: number
  /** Key of the word above the number; streams have their own names there instead. */
  word: 'pressure' | 'level' | 'temperature' | null
}

const vessel = (name: string, x: number, digits: [number, number, number]): Label[] => [
  { point: `${name}/pressure`, x, y: 170, digits: digits[0], word: 'pressure' },
  { point: `${name}/level`, x, y: 210, digits: digits[1], word: 'level' },
  { point: `${name}/temperature`, x, y: 250, digits: digits[2], word: 'temperature' },
]

/** Readings on the sketch, in its coordinates (960 x 430). */
export const LABELS: readonly Label[] = [
  { point: 'feed/a_flow', x: 16, y: 72, digits: 3, word: null },
  { point: 'feed/d_flow', x: 16, y: 150, digits: 0, word: null },
  { point: 'feed/e_flow', x: 16, y: 228, digits: 0, word: null },
  { point: 'feed/ac_flow', x: 520, y: 388, digits: 3, word: null },
  ...vessel('reactor', 212, [0, 1, 2]),
  { point: 'reactor/cooling_water_outlet_temperature', x: 216, y: 336, digits: 1, word: null },
  ...vessel('separator', 512, [0, 1, 1]),
  { point: 'compressor/work', x: 452, y: 16, digits: 0, word: null },
  { point: 'compressor/recycle_flow', x: 276, y: 16, digits: 2, word: null },
  { point: 'separator/purge_flow', x: 838, y: 28, digits: 3, word: null },
  ...vessel('stripper', 722, [0, 1, 1]),
  { point: 'stripper/steam_flow', x: 868, y: 218, digits: 0, word: null },
  { point: 'stripper/underflow', x: 868, y: 388, digits: 2, word: null },
]
