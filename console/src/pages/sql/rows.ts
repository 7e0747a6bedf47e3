/** Pure: cells of an SQL answer as text. */

import type { SqlAnswer } from '@/api/types'

export function cellText(value: unknown): string {
  if (value === null || value === undefined) return '∅'
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

export function isNumeric(type: string): boolean {
  return /^(Nullable\(|LowCardinality\()*(U?Int\d+|Float\d+|Decimal)/.test(type)
}

export function csvOfRows(answer: SqlAnswer): string {
  const field = (value: unknown) => {
    let text = value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value)
    if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  const lines = [answer.columns.map((column) => field(column.name)), ...answer.rows.map((row) => row.map(field))]
  return lines.map((line) => `${line.join(',')}\r\n`).join('')
}
