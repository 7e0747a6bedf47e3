/** Drawing on the canvas of the trend: event bands, alarm markers, quality marks. Colour and shape say the same. */

import type uPlot from 'uplot'
import type { Priority } from '@/api/types'
import { token } from '@/design/theme'

export interface Band {
  from: number
  to: number
  text: string
}

export interface Marker {
  time: number
  until: number | null
  priority: Priority
  text: string
}

const COLOR: Record<Priority, string> = { critical: '--critical', high: '--high', medium: '--medium-fill', low: '--low' }

function hatch(context: CanvasRenderingContext2D, color: string, ratio: number): CanvasPattern | null {
  const tile = document.createElement('canvas')
  tile.width = tile.height = 8 * ratio
  const pen = tile.getContext('2d')
  if (!pen) return null
  pen.strokeStyle = color
  pen.lineWidth = ratio
  pen.beginPath()
  for (const shift of [-8, 0, 8]) {
    pen.moveTo((shift - 1) * ratio, 9 * ratio)
    pen.lineTo((shift + 9) * ratio, -ratio)
  }
  pen.stroke()
  return context.createPattern(tile, 'repeat')
}

function inPlot(u: uPlot, paint: (pen: CanvasRenderingContext2D) => void): void {
  const pen = u.ctx
  pen.save()
  pen.beginPath()
  pen.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height)
  pen.clip()
  paint(pen)
  pen.restore()
}

export function drawBands(u: uPlot, bands: readonly Band[]): void {
  if (!bands.length) return
  const ratio = devicePixelRatio
  inPlot(u, (pen) => {
    const pattern = hatch(pen, token('--line-strong'), ratio)
    for (const band of bands) {
      const left = u.valToPos(band.from, 'x', true)
      const width = Math.max(2 * ratio, u.valToPos(band.to, 'x', true) - left)
      pen.globalAlpha = 0.45
      pen.fillStyle = pattern ?? token('--line')
      pen.fillRect(left, u.bbox.top, width, u.bbox.height)
      pen.globalAlpha = 1
      pen.fillStyle = token('--ink-2')
      pen.fillRect(left, u.bbox.top, width, 3 * ratio)
    }
  })
}

function shape(pen: CanvasRenderingContext2D, priority: Priority, x: number, y: number, r: number): void {
  pen.beginPath()
  if (priority === 'critical') pen.rect(x - r, y - r, 2 * r, 2 * r)
  else if (priority === 'low') pen.arc(x, y, r, 0, 7)
  else {
    const corners: [number, number][] =
      priority === 'high' ? [[0, -1.2], [1.2, 1], [-1.2, 1]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]]
    corners.forEach(([dx, dy], index) => (index ? pen.lineTo(x + dx * r, y + dy * r) : pen.moveTo(x + dx * r, y + dy * r)))
    pen.closePath()
  }
  pen.fill()
}

export function drawMarkers(u: uPlot, markers: readonly Marker[]): void {
  const ratio = devicePixelRatio
  inPlot(u, (pen) => {
    for (const marker of markers) {
      const x = u.valToPos(marker.time, 'x', true)
      const end = marker.until === null ? null : u.valToPos(marker.until, 'x', true)
      const y = u.bbox.top + 12 * ratio
      pen.strokeStyle = pen.fillStyle = token(COLOR[marker.priority])
      pen.lineWidth = ratio
      pen.setLineDash([4 * ratio, 3 * ratio])
      pen.beginPath()
      pen.moveTo(x, y)
      pen.lineTo(x, u.bbox.top + u.bbox.height)
      pen.stroke()
      pen.setLineDash([])
      if (end !== null && end > x) pen.fillRect(x, y - ratio, end - x, 2 * ratio)
      shape(pen, marker.priority, x, y, 5 * ratio)
    }
  })
}

/** Marks closer than this to the one before would only smear. */
const APART = 7

function thinned(u: uPlot, marks: readonly [number, number][], ratio: number): [number, number][] {
  let last = -Infinity
  return marks.filter(([time]) => {
    const x = u.valToPos(time, 'x', true)
    if (x - last < APART * ratio) return false
    last = x
    return true
  })
}

/** Values that have been corrected since: hollow squares. */
export function drawCorrected(u: uPlot, scale: string, corrected: readonly [number, number][]): void {
  const ratio = devicePixelRatio
  const r = 4 * ratio
  inPlot(u, (pen) => {
    pen.lineWidth = 1.6 * ratio
    pen.strokeStyle = token('--accent')
    for (const [time, value] of thinned(u, corrected, ratio)) {
      pen.strokeRect(u.valToPos(time, 'x', true) - r, u.valToPos(value, scale, true) - r, 2 * r, 2 * r)
    }
  })
}

/** Bad values are crosses off the line, uncertain ones hollow diamonds on it. */
export function drawQuality(u: uPlot, scale: string, uncertain: readonly [number, number][], bad: readonly [number, number][]): void {
  const ratio = devicePixelRatio
  const r = 4 * ratio
  inPlot(u, (pen) => {
    pen.lineWidth = 1.6 * ratio
    pen.strokeStyle = token('--critical')
    pen.beginPath()
    for (const [time, value] of thinned(u, bad, ratio)) {
      const x = u.valToPos(time, 'x', true)
      const y = u.valToPos(value, scale, true)
      pen.moveTo(x - r, y - r)
      pen.lineTo(x + r, y + r)
      pen.moveTo(x + r, y - r)
      pen.lineTo(x - r, y + r)
    }
    pen.stroke()
    pen.strokeStyle = token('--medium')
    pen.fillStyle = token('--surface')
    for (const [time, value] of thinned(u, uncertain, ratio)) {
      const x = u.valToPos(time, 'x', true)
      const y = u.valToPos(value, scale, true)
      pen.beginPath()
      pen.moveTo(x, y - r)
      pen.lineTo(x + r, y)
      pen.lineTo(x, y + r)
      pen.lineTo(x - r, y)
      pen.closePath()
      pen.fill()
      pen.stroke()
    }
  })
}
