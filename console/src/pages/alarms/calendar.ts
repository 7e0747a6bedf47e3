/** When a route is in force: days and hours of a shift, by a time zone. */
import type { Calendar } from '@/api/alarms'

/** 2024-01-01 was a Monday; days go from 0, Monday, to 6, Sunday, as those of the node do. */
export const dayName = (day: number, locale: string) => new Intl.DateTimeFormat(locale, { weekday: 'short', timeZone: 'UTC' }).format(Date.UTC(2024, 0, 1 + day))

export const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone

export const zones = (): string[] => ['UTC', ...Intl.supportedValuesOf('timeZone').filter((name) => name !== 'UTC')]

export const wholeWeek = (): Calendar => ({ days: [0, 1, 2, 3, 4, 5, 6], begin: '00:00', end: '00:00', timezone: ownZone() })

/** Return days in words, those that follow each other as a range. */
export function daysText(days: readonly number[], locale: string): string {
  const runs: [number, number][] = []
  for (const day of [...new Set(days)].sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last && last[1] === day - 1) last[1] = day
    else runs.push([day, day])
  }
  return runs.map(([from, to]) => (from === to ? dayName(from, locale) : `${dayName(from, locale)}–${dayName(to, locale)}`)).join(', ')
}

/** Return a calendar in words; a shift over midnight ends on the next day. */
export function calendarText(calendar: Calendar, locale: string): string {
  const hours = calendar.begin === calendar.end ? '' : `${calendar.begin}–${calendar.end}${calendar.end < calendar.begin ? ' (+1)' : ''}`
  return [daysText(calendar.days, locale), hours, calendar.timezone].filter(Boolean).join(' ')
}
