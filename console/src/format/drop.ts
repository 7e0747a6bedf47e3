/** Counts of drops as people read them: points, requests, or the time that connections had to wait. */

import type { Drop } from '@/api/types'
import { formatCount, formatMeasure } from './number'

export function formatDrop(drop: Drop, locale: string): string {
  return drop.kind === 'delayed' ? `${formatMeasure(drop.count / 1000, locale)} s` : formatCount(drop.count, locale)
}
