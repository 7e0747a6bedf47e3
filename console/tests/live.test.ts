import { describe, expect, it } from 'vitest'
import type { Alarm, AlarmState, Overview, Priority, RateSample } from '../src/api/types'
import { countByPriority, isNewAlarm, mergeAlarm } from '../src/live/alarms'
import { isNewer, isStale } from '../src/live/latest'
import { aroundAlarm } from '../src/pages/alarms/around'
import { chartColumns, extend, sampleOf } from '../src/pages/overview/history'

function alarm(id: string, priority: Priority, state: AlarmState, raised = '2026-01-01T00:00:00Z'): Alarm {
  return {
    id, rule_id: 1, rule_name: 'r', series: 1, asset_path: 'a', point: 'p', priority, state, message: '', value: 1, limit: 0, unit: '',
    raised_at: raised, acknowledged_at: null, acknowledged_by: null, returned_at: null, closed_at: null,
  }
}

describe('open alarms', () => {
  it('orders by state, priority, newest', () => {
    const changes = [
      alarm('1', 'low', 'unacknowledged_active'),
      alarm('2', 'critical', 'acknowledged_active'),
      alarm('3', 'critical', 'unacknowledged_active'),
      alarm('4', 'critical', 'unacknowledged_active', '2026-01-02T00:00:00Z'),
      alarm('5', 'critical', 'unacknowledged_returned'),
    ]
    const open = changes.reduce<Alarm[]>(mergeAlarm, [])
    expect(open.map((entry) => entry.id)).toEqual(['4', '3', '1', '2', '5'])
  })
  it('replaces by id and drops what is closed, also when it was never there', () => {
    let open = mergeAlarm([], alarm('1', 'low', 'unacknowledged_active'))
    open = mergeAlarm(open, alarm('1', 'low', 'acknowledged_active'))
    expect(open).toHaveLength(1)
    expect(mergeAlarm(open, alarm('1', 'low', 'closed'))).toEqual([])
    expect(mergeAlarm([], alarm('9', 'low', 'closed'))).toEqual([])
  })
  it('counts by priority', () => {
    const open = [alarm('1', 'high', 'unacknowledged_active'), alarm('2', 'high', 'acknowledged_active')]
    expect(countByPriority(open)[1]).toEqual({ priority: 'high', open: 2, unacknowledged: 1 })
  })
  it('announces what is newly active, once', () => {
    const active = alarm('1', 'high', 'unacknowledged_active')
    expect(isNewAlarm([], active)).toBe(true)
    expect(isNewAlarm([active], active)).toBe(false)
    expect(isNewAlarm([alarm('1', 'high', 'unacknowledged_returned')], active)).toBe(true)
    expect(isNewAlarm([], alarm('1', 'high', 'acknowledged_active'))).toBe(false)
  })
  it('shows the time around an alarm', () => {
    const short = aroundAlarm({ series: 7, raised_at: '2026-01-01T01:00:00Z', returned_at: null })
    expect(short.query).toEqual({ p: '7', from: '2026-01-01T00:50:00.000Z', to: '2026-01-01T01:10:00.000Z' })
    const long = aroundAlarm({ series: 7, raised_at: '2026-01-01T01:00:00Z', returned_at: '2026-01-01T02:00:00Z' })
    expect(long.query.to).toBe('2026-01-01T03:00:00.000Z')
  })
})

describe('latest values', () => {
  const at = (time: string, ingested?: string) => ({ value: 1, quality: 0, time, ...(ingested ? { ingested_at: ingested } : {}) })
  it('never goes back to an older source time', () => {
    expect(isNewer(at('2026-01-01T00:00:01Z'), at('2026-01-01T00:00:02Z'))).toBe(false)
    expect(isNewer(at('2026-01-01T00:00:02Z'), at('2026-01-01T00:00:02Z'))).toBe(true)
    expect(isNewer(at('2026-01-01T00:00:02Z'), undefined)).toBe(true)
  })
  it('is stale a minute after it came in, whatever its own time', () => {
    const now = Date.parse('2026-01-01T00:02:00Z')
    expect(isStale(at('2014-01-01T00:00:00Z', '2026-01-01T00:01:30Z'), now)).toBe(false)
    expect(isStale(at('2026-01-01T00:00:30Z'), now)).toBe(true)
    expect(isStale(null, now)).toBe(false)
    expect(isStale({ value: true, quality: 0, time: '2025-01-01T00:00:00Z' }, now)).toBe(false)
  })
})

describe('rates of the last two minutes', () => {
  const sample = (second: number, points = second): RateSample => ({ time: new Date(second * 1000).toISOString(), points, messages: 0, shed: 0, rejected: 0 })
  it('keeps 120 seconds, one sample each, in order', () => {
    let history: RateSample[] = []
    for (let second = 1; second <= 200; second += 1) history = extend(history, sample(second))
    expect(history).toHaveLength(120)
    history = extend(history, { ...sample(200), points: 5 })
    expect(history).toHaveLength(120)
    expect(history.at(-1)?.points).toBe(5)
  })
  it('shows a lost connection as a gap, not as zero', () => {
    const [times, points] = chartColumns([sample(1), sample(2), sample(9)])
    expect(times).toEqual([1, 2, 3, 9])
    expect(points).toEqual([1, 2, null, 9])
  })
  it('takes the rates of an overview', () => {
    const overview = { time: 't', rates: { points: 1, messages: 2, shed: 3, rejected: 4, stored: 5 } } as Overview
    expect(sampleOf(overview)).toEqual({ time: 't', points: 1, messages: 2, shed: 3, rejected: 4 })
  })
})
