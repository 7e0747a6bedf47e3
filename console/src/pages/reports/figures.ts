/** Figures of cells as numbers and as text. */

import type { Cell, Figure, Measure } from '@/api/reports'
import { formatCount, formatRate, NOTHING, unitSymbol } from '@/format/number'

const isRecord = (figure: Figure): figure is Record<string, number> => typeof figure === 'object' && figure !== null && !Array.isArray(figure)

/** The number that a figure is sorted and drawn by: of quantiles the median, of top nothing. */
export function numberOf(figure: Figure | undefined): number | null {
  if (typeof figure === 'number') return figure
  if (figure === undefined || !isRecord(figure)) return null
  return figure.value ?? figure.p50 ?? null
}

function plain(value: number, locale: string): string {
  return Number.isInteger(value) ? formatCount(value, locale) : formatRate(value, locale)
}

export function figureText(figure: Figure | undefined, locale: string): string {
  if (figure === undefined || figure === null) return NOTHING
  if (typeof figure === 'number') return plain(figure, locale)
  if (Array.isArray(figure)) return figure.slice(0, 5).map(({ item, low }) => `${item} ${formatCount(low, locale)}`).join(', ') || NOTHING
  if ('value' in figure) return `≈ ${plain(figure.value!, locale)} (${plain(figure.low ?? figure.value!, locale)} – ${plain(figure.high ?? figure.value!, locale)})`
  if (figure.p50 === undefined) return NOTHING
  return `${plain(figure.p50, locale)} (${plain(figure.p5 ?? figure.p50, locale)} – ${plain(figure.p95 ?? figure.p50, locale)})`
}

/** Unit of a measure; what is only counted has none to show. */
export function unitOf(measure: Measure): string {
  const unit = measure.unit ?? '1'
  return /^\{.*\}$/.test(unit) ? '' : unitSymbol(unit.replace(/\{([^}]*)\}/g, '$1'))
}

/** Measures whose sums can be published with margins. */
export function additive(measures: readonly Measure[]): Measure[] {
  return measures.filter((measure) => measure.form === 'count' || measure.form === 'sum')
}

/** Sorted copy by a key, a measure or a member of the cell; what is absent comes last. */
export function sortedCells(cells: readonly Cell[], by: string, descending: boolean, locale: string): Cell[] {
  const text = new Intl.Collator(locale, { numeric: true })
  const sign = descending ? -1 : 1
  const valueOf = (cell: Cell): string | number | null => {
    if (by === 'nodes' || by === 'silent') return cell[by]
    if (by === 'as_of') return cell.as_of ? Date.parse(cell.as_of) : null
    return by in cell.keys ? cell.keys[by]! : numberOf(cell.measures[by])
  }
  return [...cells].sort((a, b) => {
    const left = valueOf(a)
    const right = valueOf(b)
    if (left === null || right === null) return Number(left === null) - Number(right === null)
    return sign * (typeof left === 'string' ? text.compare(left, String(right)) : left - Number(right))
  })
}
