import { describe, expect, it } from 'vitest'
import { axesFor } from '../src/trend/axes'
import { aligned, appendLatest, differing, drawn, emptyLine, gapLimit, lineOf, medianStep, mergeTail, trimmed, type Line, withoutSilence } from '../src/trend/columns'
import { aggregateOf, unitOf } from '../src/trend/aggregates'
import { moved, queryToState, resolveRange, stateToQuery, stepFor, zoomed } from '../src/trend/range'

const line = (times: number[], values: (number | null)[] = times): Line => ({ times, values, qualities: times.map(() => 'good') })
const column = (times: (number | string)[], values: unknown[], qualities?: number[]) => ({
  series: 1, asset_path: 'a', name: 'p', type: 'double', unit: 'K', times, values: values as number[], ...(qualities ? { qualities } : {}),
})

describe('range', () => {
  const now = Date.parse('2026-11-22T10:00:00Z')
  it('follows the present when the data does', () => {
    expect(resolveRange({ kind: 'follow', preset: '15m' }, now, now - 4000)).toEqual({ from: now - 900_000, to: now, replay: false })
    expect(resolveRange({ kind: 'follow', preset: '15m' }, now, null).to).toBe(now)
  })
  it('follows the newest value of a recording', () => {
    const newest = Date.parse('2014-01-01T00:00:00Z')
    expect(resolveRange({ kind: 'follow', preset: '7d' }, now, newest)).toEqual({ from: newest - 7 * 86_400_000, to: newest, replay: true })
  })
  it('zooms about a place and never below a second', () => {
    expect(zoomed({ from: 0, to: 10_000 }, 0.5)).toEqual({ kind: 'fixed', from: 2500, to: 7500 })
    expect(zoomed({ from: 0, to: 10_000 }, 0.5, 0)).toEqual({ kind: 'fixed', from: 0, to: 5000 })
    expect(zoomed({ from: 0, to: 1000 }, 0.1)).toEqual({ kind: 'fixed', from: 0, to: 1000 })
    expect(moved({ from: 1000, to: 2000 }, -0.5)).toEqual({ kind: 'fixed', from: 500, to: 1500 })
  })
  it('chooses a step that needs no more than two values a pixel pair', () => {
    expect(stepFor({ from: 0, to: 900_000 }, 1000)).toBe(2)
    expect(stepFor({ from: 0, to: 80 * 86_400_000 }, 1000)).toBe(14_400)
    expect(stepFor({ from: 0, to: 1e15 }, 1000)).toBe(86_400)
  })
  it('goes through the address unchanged', () => {
    for (const state of [
      { series: [3, 1], range: { kind: 'follow', preset: '1h' } as const, live: true },
      { series: [], range: { kind: 'follow', preset: '5m' } as const, live: false },
      { series: [7], range: { kind: 'fixed', from: 1000, to: 2000 } as const, live: false },
    ]) expect(queryToState(stateToQuery(state))).toEqual(state)
  })
  it('takes nonsense in the address for nothing', () => {
    expect(queryToState({ p: '1,x,1,-2,99999999999', r: 'never', from: 'b', to: '2020' })).toEqual({
      series: [1], range: { kind: 'follow', preset: '15m' }, live: true,
    })
    expect(queryToState({ from: '2020-01-02', to: '2020-01-01' }).range.kind).toBe('follow')
  })
})

describe('columns', () => {
  it('reads both forms of times and sorts them', () => {
    const read = lineOf(column(['1970-01-01T00:00:02Z', 1000], [2, 1], [0x80, 0x41]))
    expect(read).toEqual({ times: [1000, 2000], values: [1, 2], qualities: ['uncertain', 'bad'] })
  })
  it('draws booleans as 0 and 1 and text not at all', () => {
    expect(lineOf(column([1, 2, 3, 4], [true, false, 'x', Number.NaN])).values).toEqual([1, 0, null, null])
  })
  it('lets a newer answer correct and extend without showing anything twice', () => {
    const merged = mergeTail(line([1, 2, 3, 4], [1, 2, 3, 4]), line([3, 3.5, 5], [30, 35, 50]))
    expect(merged.times).toEqual([1, 2, 3, 3.5, 5])
    expect(merged.values).toEqual([1, 2, 30, 35, 50])
    expect(mergeTail(merged, emptyLine())).toBe(merged)
  })
  it('appends live values only at the end', () => {
    const held = line([1000, 2000])
    expect(appendLatest(held, { series: 1, value: 5, quality: 0, time: '1970-01-01T00:00:02Z' })).toBe(held)
    expect(appendLatest(held, { series: 1, value: 5, quality: 0x80, time: '1970-01-01T00:00:03Z' }).qualities[2]).toBe('bad')
  })
  it('trims but keeps the point that leads into the window', () => {
    expect(trimmed(line([1, 2, 3, 4]), 3).times).toEqual([2, 3, 4])
    expect(trimmed(line([5, 6]), 3).times).toEqual([5, 6])
    expect(trimmed(line([1, 2]), 9).times).toEqual([2])
  })
})

describe('gaps', () => {
  it('takes the median for the usual distance', () => {
    expect(medianStep([0, 10, 20, 30, 1000])).toBe(10)
    expect(medianStep([0, 10])).toBeNull()
    expect(gapLimit([0, 10, 20], 100)).toBe(250)
    expect(gapLimit([1], null)).toBeNull()
  })
  it('breaks the line in a gap and nowhere else', () => {
    const out = drawn(line([0, 10, 20, 30, 200, 210], [1, 2, 3, 4, 5, 6]), null)
    expect(out.times).toEqual([0, 10, 20, 30, 31, 200, 210])
    expect(out.line).toEqual([1, 2, 3, 4, null, 5, 6])
  })
  it('does not take a change of state for a gap', () => {
    expect(drawn(line([0, 1, 2, 3, 1000], [0, 0, 0, 1, 0]), null, true).line).not.toContain(null)
  })
  it('keeps bad values out of the line and marks them', () => {
    const out = drawn({ times: [0, 1, 2], values: [1, 9, 1], qualities: ['good', 'bad', 'uncertain'] }, null)
    expect(out.line).toEqual([1, null, 1])
    expect(out.bad).toEqual([[1, 9]])
    expect(out.uncertain).toEqual([[2, 1]])
  })
  it('aligns lines without inventing gaps', () => {
    const both = aligned([drawn(line([0, 2, 4]), null), drawn(line([1, 2, 3]), null)])
    expect(both.times).toEqual([0, 1, 2, 3, 4])
    expect(both.columns[0]).toEqual([0, undefined, 2, undefined, 4])
    expect(both.columns[1]).toEqual([undefined, 1, 2, 3, undefined])
  })
})

describe('axes', () => {
  it('has one scale a unit, left and right in turn, four at most', () => {
    const points = ['kPa', 'Cel', 'kPa', '%', 'K', 'W'].map((unit, index) => ({ series: index, unit, type: 'double' }))
    const axes = axesFor(points)
    expect(axes.map((axis) => [axis.unit, axis.side, axis.series])).toEqual([
      ['kPa', 'left', [0, 2]], ['Cel', 'right', [1]], ['%', 'left', [3]], ['K', 'right', [4, 5]],
    ])
  })
  it('keeps flags on a scale of their own', () => {
    expect(axesFor([{ series: 1, unit: '', type: 'double' }, { series: 2, unit: '', type: 'boolean' }])).toHaveLength(2)
  })
})

describe('what is shown of each interval', () => {
  it('goes through the address', () => {
    const state = { series: [1], range: { kind: 'follow', preset: '1h' }, live: true, aggregate: 'TimeAverage2', asOf: 1_700_000_000_000 } as const
    expect(queryToState(stateToQuery({ ...state, series: [1] }))).toEqual(state)
    expect(queryToState({ p: '1', how: 'DROP', known: 'then' })).toEqual({ series: [1], range: { kind: 'follow', preset: '15m' }, live: true })
  })
  it('has the unit of the result', () => {
    expect([undefined, 'avg', 'count', 'PercentGood', 'DurationGood', 'Total2'].map((how) => unitOf(aggregateOf(how), 'K'))).toEqual(['K', 'K', '', '%', 'ms', 'K.s'])
  })
})

describe('a silence under calculated intervals', () => {
  const line = lineOf(column([0, 10, 20, 30, 40, 50, 60, 70, 80], [1, 2, 3, 4, 5, 6, 7, 8, 9]))
  it('is not drawn', () => {
    expect(withoutSilence(line, [0, 10, 70, 80], 10).values).toEqual([1, 2, null, null, null, null, null, 8, 9])
  })
  it('is none when values come seldom', () => {
    expect(withoutSilence(line, [0, 30, 60, 80], 10).values).toEqual(line.values)
    expect(withoutSilence(line, [], 10).values).toEqual(line.values)
  })
})

describe('corrections', () => {
  const then = lineOf(column([1, 2, 3, 4], [10, 20, 30, 40]))
  it('are where what was known differs from what is known', () => {
    expect(differing(then, lineOf(column([1, 2, 3, 4], [10, 25, 30, 40])))).toEqual([[2, 20]])
    expect(differing(then, lineOf(column([1, 2, 4], [10, 20, 40])))).toEqual([[3, 30]])
    expect(differing(then, then)).toEqual([])
  })
  it('are not what the later answer does not reach back to', () => {
    expect(differing(then, lineOf(column([3, 4], [30, 40])))).toEqual([])
  })
})
