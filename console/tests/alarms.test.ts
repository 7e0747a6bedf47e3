import { describe, expect, it } from 'vitest'
import type { Alarm } from '../src/api/types'
import { compareAlarms, isOpen, isUnacknowledged, mergeAlarm, OPEN_STATES, SUPPRESSED_STATES } from '../src/live/alarms'
import { calendarText, dayName, daysText, ownZone, wholeWeek, zones } from '../src/pages/alarms/calendar'
import { bandOf, bars, ring } from '../src/pages/alarms/kpi'

const alarm = (id: string, state: Alarm['state']) => ({ id, state, priority: 'high', raised_at: '2026-01-01T00:00:00Z' }) as Alarm

describe('states of ISA-18.2', () => {
  it('keeps what is suppressed from the list, and takes it back when it is annunciated', () => {
    const open = mergeAlarm([alarm('1', 'unacknowledged_active')], alarm('1', 'shelved'))
    expect(open).toEqual([])
    expect(mergeAlarm(open, alarm('1', 'unacknowledged_active')).map(({ id }) => id)).toEqual(['1'])
    for (const state of SUPPRESSED_STATES) expect(isOpen(alarm('1', state))).toBe(false)
    for (const state of OPEN_STATES) expect(isOpen(alarm('1', state))).toBe(true)
  })
  it('asks for acknowledgement of what latched, before what is only to be reset', () => {
    expect(isUnacknowledged(alarm('1', 'latched_unacknowledged'))).toBe(true)
    expect(isUnacknowledged(alarm('1', 'latched_acknowledged'))).toBe(false)
    expect(compareAlarms(alarm('1', 'latched_acknowledged'), alarm('2', 'unacknowledged_returned'))).toBeGreaterThan(0)
  })
})

describe('pictures of key figures', () => {
  it('knows the bands of EEMUA 191', () => {
    expect([0, 1, 2, 3, 10, 11].map(bandOf)).toEqual(['acceptable', 'acceptable', 'manageable', 'demanding', 'demanding', 'flood'])
  })
  it('shows the greatest of the periods that share a column', () => {
    const found = bars([0, 3, 0, 0, 12, 1], 3, 12)
    expect(found.map(({ at, count, height }) => [at, count, height])).toEqual([
      [0, 3, 0.25],
      [4, 12, 1],
    ])
    expect(bars([], 3, 12)).toEqual([])
  })
  it('draws a ring of parts, and a whole one', () => {
    const parts = ring({ critical: 0, high: 1, medium: 0, low: 3 }, ['critical', 'high', 'medium', 'low'])
    expect(parts.map(({ priority }) => priority)).toEqual(['high', 'low'])
    expect(parts[1]?.path).toContain('A 46 46 0 1 1')
    expect(ring({ critical: 5, high: 0, medium: 0, low: 0 }, ['critical'])[0]?.path).not.toContain('NaN')
    expect(ring({ critical: 0, high: 0, medium: 0, low: 0 }, ['critical'])).toEqual([])
  })
})

describe('shifts of a route', () => {
  it('counts days from Monday, as the node does', () => {
    expect([0, 6].map((day) => dayName(day, 'en'))).toEqual(['Mon', 'Sun'])
    expect(dayName(0, 'zh')).toBe('周一')
  })
  it('joins days that follow each other', () => {
    expect(daysText([4, 0, 1, 2, 3], 'en')).toBe('Mon–Fri')
    expect(daysText([6, 0, 1, 3], 'en')).toBe('Mon–Tue, Thu, Sun')
  })
  it('says that a night ends on the next day, and no hours where it is all day', () => {
    expect(calendarText({ days: [0], begin: '22:00', end: '06:00', timezone: 'Asia/Shanghai' }, 'en')).toBe('Mon 22:00–06:00 (+1) Asia/Shanghai')
    expect(calendarText({ days: [5, 6], begin: '00:00', end: '00:00', timezone: 'UTC' }, 'zh')).toBe('周六–周日 UTC')
  })
  it('begins with the whole week in the zone of the browser', () => {
    expect(wholeWeek()).toEqual({ days: [0, 1, 2, 3, 4, 5, 6], begin: '00:00', end: '00:00', timezone: ownZone() })
    expect(zones()[0]).toBe('UTC')
    expect(new Set(zones()).size).toBe(zones().length)
  })
})
