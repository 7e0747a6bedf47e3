/** Numbers as people read them; all digits tabular, all separators by language. */

import type { PointValue } from '@/api/types'

const formats = new Map<string, Intl.NumberFormat>()

function format(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = locale + JSON.stringify(options)
  let found = formats.get(key)
  if (!found) formats.set(key, (found = new Intl.NumberFormat(locale, options)))
  return found
}

export const NOTHING = '–'

/** A whole count with separators. */
export function formatCount(value: number | null | undefined, locale: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING
  return format(locale, { maximumFractionDigits: 0 }).format(value)
}

/** A rate: three significant digits below 1,000, whole above. */
export function formatRate(value: number | null | undefined, locale: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING
  if (Math.abs(value) >= 100 || value === 0) return formatCount(value, locale)
  return format(locale, { maximumSignificantDigits: 3 }).format(value)
}

/** Milliseconds or other small measures: at most `digits` after the point. */
export function formatMeasure(value: number | null | undefined, locale: string, digits = 1): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING
  return format(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value)
}

/** The value of a point. Numbers keep six significant digits and no grouping, so that columns line up. */
export function formatValue(value: PointValue | undefined, words: { yes: string; no: string }): string {
  if (value === null || value === undefined) return NOTHING
  if (typeof value === 'boolean') return value ? words.yes : words.no
  if (typeof value === 'string') return value
  if (!Number.isFinite(value)) return String(value)
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value)
  const size = Math.abs(value)
  if (size >= 1e7 || size < 1e-4) return value.toExponential(4)
  return String(Number(value.toPrecision(6)))
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** Bytes with a decimal prefix (IEC 80000-13: kB = 1,000 B). */
export function formatBytes(value: number | null | undefined, locale: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING
  let size = Math.max(0, value)
  let unit = 0
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000
    unit += 1
  }
  const text = format(locale, { maximumFractionDigits: size < 10 && unit > 0 ? 1 : 0 }).format(size)
  return `${text} ${UNITS[unit]}`
}

// UCUM codes that read better as the symbol every plant uses.
const SYMBOLS: Record<string, string> = { Cel: '°C', '[degF]': '°F', '%': '%', '1': '', m3: 'm³', K: 'K', deg: '°', Ohm: 'Ω', um: 'µm' }

/** The symbol of a UCUM unit; unknown codes stay as they are. */
export function unitSymbol(unit: string): string {
  return SYMBOLS[unit] ?? unit.replace(/^10\*(\d)\.?/, (_, power: string) => `10${'⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(power)]} `).replace(/([a-z])3(?=\/|$)/g, '$1³').replace(/([a-z])2(?=\/|$)/g, '$1²')
}
