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
}

/** Readings on the sketch, in its coordinates (960 x 440). */
export const LABELS: readonly Label[] = [
  { point: 'feed/a_flow', x: 20, y: 84, digits: 3 },
  { point: 'feed/d_flow', x: 20, y: 150, digits: 0 },
  { point: 'feed/e_flow', x: 20, y: 216, digits: 0 },
  { point: 'feed/ac_flow', x: 556, y: 404, digits: 3 },
  { point: 'reactor/pressure', x: 208, y: 176, digits: 0 },
  { point: 'reactor/level', x: 208, y: 216, digits: 1 },
  { point: 'reactor/temperature', x: 208, y: 256, digits: 2 },
  { point: 'reactor/cooling_water_outlet_temperature', x: 208, y: 346, digits: 1 },
  { point: 'separator/pressure', x: 500, y: 176, digits: 0 },
  { point: 'separator/level', x: 500, y: 216, digits: 1 },
  { point: 'separator/temperature', x: 500, y: 256, digits: 1 },
  { point: 'compressor/work', x: 500, y: 62, digits: 0 },
  { point: 'compressor/recycle_flow', x: 300, y: 62, digits: 2 },
  { point: 'separator/purge_flow', x: 838, y: 62, digits: 3 },
  { point: 'stripper/pressure', x: 738, y: 176, digits: 0 },
  { point: 'stripper/level', x: 738, y: 216, digits: 1 },
  { point: 'stripper/temperature', x: 738, y: 256, digits: 1 },
  { point: 'stripper/steam_flow', x: 738, y: 346, digits: 0 },
  { point: 'stripper/underflow', x: 858, y: 404, digits: 2 },
]
