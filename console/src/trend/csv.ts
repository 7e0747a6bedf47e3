/** CSV of what the trend shows (RFC 4180), one row a value. Pure. */

import type { SeriesColumns } from '@/api/types'
import { severity } from '@/format/quality'
import { toMs } from './columns'

function field(value: unknown): string {
  let text = value === null || value === undefined ? '' : String(value)
  // A spreadsheet would run text that starts like a formula; a quote in front makes it text.
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export function csvOf(series: readonly SeriesColumns[]): string {
  const rows = ['time,asset,point,unit,value,quality']
  for (const columns of series) {
    columns.times.forEach((time, index) => {
      const moment = typeof time === 'string' ? time : new Date(toMs(time)).toISOString()
      const cells = [moment, columns.asset_path, columns.name, columns.unit, columns.values[index], severity(columns.qualities?.[index])]
      rows.push(cells.map(field).join(','))
    })
  }
  return `${rows.join('\r\n')}\r\n`
}
