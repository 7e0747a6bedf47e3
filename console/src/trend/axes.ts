/** Axes of the trend: one for every unit, left and right in turn. Pure. */

export interface Axis {
  scale: string
  unit: string
  side: 'left' | 'right'
  series: number[]
}

export const MAX_AXES = 4

/** Points with one unit share a scale; beyond four units the rest share the last. Flags have a scale of their own. */
export function axesFor(points: readonly { series: number; unit: string; type: string }[]): Axis[] {
  const axes: Axis[] = []
  for (const point of points) {
    const key = point.type === 'boolean' ? 'boolean' : `unit:${point.unit}`
    let axis = axes.find((entry) => entry.scale === key)
    if (!axis && axes.length === MAX_AXES) axis = axes[MAX_AXES - 1]
    if (!axis) {
      axis = { scale: key, unit: point.type === 'boolean' ? '0/1' : point.unit, side: axes.length % 2 ? 'right' : 'left', series: [] }
      axes.push(axis)
    }
    axis.series.push(point.series)
  }
  return axes
}
