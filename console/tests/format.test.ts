import { describe, expect, it } from 'vitest'
import { formatBytes, formatCount, formatRate, formatValue, unitSymbol } from '../src/format/number'
import { severity } from '../src/format/quality'
import { formatAbsolute, formatDuration, formatRelative, fromLocalInput, toLocalInput, zoneOffset } from '../src/format/time'
import { timeLabels } from '../src/trend/ticks'

const words = { yes: 'yes', no: 'no' }

describe('numbers', () => {
  it('writes counts and rates', () => {
    expect(formatCount(1234567.8, 'en-GB')).toBe('1,234,568')
    expect(formatCount(null, 'en-GB')).toBe('–')
    expect(formatRate(0, 'en-GB')).toBe('0')
    expect(formatRate(3.14159, 'en-GB')).toBe('3.14')
    expect(formatRate(18234.6, 'en-GB')).toBe('18,235')
    expect(formatRate(Number.NaN, 'en-GB')).toBe('–')
  })
  it('writes values without losing what counts', () => {
    expect(formatValue(2705.123456, words)).toBe('2705.12')
    expect(formatValue(0.1 + 0.2, words)).toBe('0.3')
    expect(formatValue(9007199254740991, words)).toBe('9.0072e+15')
    expect(formatValue(1234567, words)).toBe('1234567')
    expect(formatValue(0.0000123456, words)).toBe('1.2346e-5')
    expect(formatValue(false, words)).toBe('no')
    expect(formatValue('9223372036854775807', words)).toBe('9223372036854775807')
    expect(formatValue(null, words)).toBe('–')
  })
  it('writes bytes and units', () => {
    expect(formatBytes(999, 'en-GB')).toBe('999 B')
    expect(formatBytes(1_420_000_000, 'en-GB')).toBe('1.4 GB')
    expect(formatBytes(81_000_000_000, 'en-GB')).toBe('81 GB')
    expect([unitSymbol('Cel'), unitSymbol('m3/h'), unitSymbol('10*3.m3/h'), unitSymbol('1')]).toEqual(['°C', 'm³/h', '10³ m³/h', ''])
  })
})

describe('times (Asia/Shanghai)', () => {
  it('shows the zone', () => {
    expect(formatAbsolute('2026-11-22T10:04:05Z')).toBe('2026-11-22 18:04:05 UTC+08:00')
    expect(formatAbsolute('2026-11-22T10:04:05.120Z', false)).toBe('2026-11-22 18:04:05.120')
    expect(zoneOffset(new Date(0))).toBe('+08:00')
    expect(formatAbsolute('nonsense')).toBe('–')
  })
  it('tells ages in the largest unit that fits', () => {
    const now = Date.parse('2026-11-22T10:00:00Z')
    expect(formatRelative('2026-11-22T09:57:30Z', now, 'en-GB')).toBe('2 minutes ago')
    expect(formatRelative('2026-11-22T10:00:00Z', now, 'en-GB')).toBe('now')
    expect(formatRelative('2026-11-20T09:00:00Z', now, 'zh-CN')).toBe('前天')
    expect(formatRelative('2014-02-08T18:00:00Z', now, 'en-GB')).toBe('2014-02-09')
    expect(formatDuration(93_784_000)).toBe('1 d 2:03:04')
    expect(formatDuration(-5)).toBe('0:00:00')
  })
  it('fills and reads the fields of a range', () => {
    const time = Date.parse('2026-11-22T10:04:05Z')
    expect(toLocalInput(time)).toBe('2026-11-22T18:04:05')
    expect(fromLocalInput(toLocalInput(time))).toBe(time)
  })
  it('labels an axis with the date where it is new', () => {
    const start = Date.parse('2026-11-22T15:59:00Z')
    expect(timeLabels([start, start + 60_000, start + 120_000], 60_000)).toEqual(['23:59\n2026-11-22', '00:00\n2026-11-23', '00:01'])
    expect(timeLabels([start], 500)).toEqual(['23:59:00.000\n2026-11-22'])
    expect(timeLabels([start], 86_400_000)).toEqual(['2026-11-22'])
  })
})

describe('quality', () => {
  it('reads the severity bits and names', () => {
    expect([0, 0x3f, 0x40, 0x41, 0x80, 0x83, 0xc0].map(severity)).toEqual(['good', 'good', 'uncertain', 'uncertain', 'bad', 'bad', 'bad'])
    expect(['good', 'uncertain', 'bad', 'bad_stale'].map(severity)).toEqual(['good', 'uncertain', 'bad', 'bad'])
    expect(severity(undefined)).toBe('good')
  })
})
