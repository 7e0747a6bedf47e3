import { describe, expect, it } from 'vitest'
import { WIDTH, dayBars, trendPicture, xOf } from '../src/pages/rules/picture'

const HOUR = 3_600_000
const alarm = (raised: number, returned: number | null) => ({
  series: 1, asset_path: 'a', point: 'p', value: 1, raised_at: new Date(raised).toISOString(), returned_at: returned === null ? null : new Date(returned).toISOString(),
})

describe('the picture of a back-test', () => {
  it('puts times and alarms where they belong', () => {
    expect(xOf(0, 0, HOUR)).toBe(46)
    expect(xOf(HOUR, 0, HOUR)).toBe(WIDTH - 8)
    const columns = { series: 1, asset_path: 'a', name: 'p', type: 'double', unit: '', times: [0, 1000, 2000, 60_000], values: [1, 2, null, 3] }
    const picture = trendPicture(columns, [alarm(0, HOUR / 2), alarm(HOUR / 2, null)], 0, HOUR, 1000, 5)
    expect(picture.line.match(/M/g)).toHaveLength(2)
    expect(picture.spans[1]!.x + picture.spans[1]!.width).toBeCloseTo(WIDTH - 8)
    expect([picture.low, picture.high]).toEqual(['1', '5'])
    expect(trendPicture(undefined, [], 0, HOUR, 1000, null).line).toBe('')
  })
  it('draws every day', () => {
    const { bars, most } = dayBars([{ day: '2026-01-01', raised: 0 }, { day: '2026-01-02', raised: 4 }])
    expect(most).toBe(4)
    expect(bars.map((bar) => bar.height > 0)).toEqual([false, true])
    expect(dayBars([]).bars).toEqual([])
  })
})
