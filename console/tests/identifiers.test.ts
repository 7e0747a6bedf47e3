import { describe, expect, it } from 'vitest'
import { attributeOf, rowOf } from '../src/pages/identifiers/attributeRows'
import { sizeOfRange } from '../src/pages/identifiers/rangeSize'
import { eventsOf, recalledOf, whereaboutsOf } from '../src/pages/identifiers/timeline'
import { trustKind, trustWord } from '../src/pages/identifiers/trust'
import { safeLink, valueText } from '../src/pages/identifiers/values'

describe('ranges', () => {
  it('counts what a range says', () => {
    expect(sizeOfRange('M01{00000001..09999999}')).toBe(9_999_999)
    expect(sizeOfRange('{000000000000000001..000000007150000000}')).toBe(7_150_000_000)
    expect(sizeOfRange('a{7..7}b')).toBe(1)
  })
  it('says nothing of what is no range', () => {
    for (const text of ['', 'M01', 'M{1..02}', 'M{2..1}', 'M{..}', 'M{1..2}{3..4}', '{1..2', 'M{１..２}']) expect(sizeOfRange(text)).toBeNull()
  })
})

describe('attributes', () => {
  it('are the same after the form', () => {
    const full = { name: 'mass', index: 2001, type: 'decimal' as const, required: true, public: false, title: { zh: '质量', en: 'Mass' }, minimum: 0, maximum: 12.5, unit: 'kg' }
    expect(attributeOf(rowOf(full))).toEqual(full)
    expect(attributeOf(rowOf({ name: 'model', index: 2000 }))).toEqual({ name: 'model', index: 2000, type: 'text', required: false, public: true })
  })
  it('have nothing of another type', () => {
    const row = { ...rowOf({ name: 'colour', index: 2002, type: 'choice', choices: ['red', 'blue'] }), minimum: '1', pattern: 'x' }
    expect(attributeOf(row)).toEqual({ name: 'colour', index: 2002, type: 'choice', required: false, public: true, choices: ['red', 'blue'] })
  })
})

describe('values and trust', () => {
  it('links to web addresses only', () => {
    expect(safeLink('https://example.com/')).toBe('https://example.com/')
    for (const text of ['javascript:alert(1)', 'data:text/html,x', ' https://x', 'ftp://x', '']) expect(safeLink(text)).toBeNull()
  })
  it('shows data that are no text as JSON', () => {
    expect(valueText({ index: 100, type: 'HS_ADMIN', data: { format: 'admin', value: { handle: '0.NA/99', index: 300 } }, ttl: 1, timestamp: '' })).toBe('{"handle":"0.NA/99","index":300}')
  })
  it('marks what it does not know as not checked', () => {
    expect([trustKind('verified'), trustKind('broken'), trustKind('?')]).toEqual(['on', 'fail', 'off'])
    expect([trustWord('trusted'), trustWord('broken'), trustWord('?')]).toEqual(['verified', 'failed', 'unchecked'])
  })
})

describe('timeline', () => {
  const event = { time: '2026-11-23T08:00:00Z', type: 'ObjectEvent', bizStep: 'https://ref.gs1.org/cbv/BizStep-shipping', action: 'OBSERVE', readPoint: '', bizLocation: 'urn:x' }
  it('takes events with a time', () => {
    expect(eventsOf({ events: [event, { type: 'ObjectEvent' }, null] })).toEqual([{ time: event.time, type: 'ObjectEvent', step: 'BizStep-shipping', place: 'urn:x', detail: 'OBSERVE' }])
    expect([eventsOf(null), eventsOf({ events: 'x' })]).toEqual([[], []])
  })
  it('says where a thing is, and who has it', () => {
    const holders = [{ who: 'a' }, { who: 'b' }]
    expect(whereaboutsOf({ whereabouts: { place: 'p', status: 'active' }, holders })).toEqual({ place: 'p', status: 'active', holder: 'b' })
    expect(whereaboutsOf({ whereabouts: { place: '', status: 'unknown' }, holders: [] })).toBeNull()
    expect(whereaboutsOf(null)).toBeNull()
  })
  it('lists what is to be called back', () => {
    expect(recalledOf({ recalled: [{ thing: 'x', class: false, depth: 2, place: 'p', status: 'active' }] })).toEqual([{ thing: 'x', depth: 2, place: 'p', status: 'active' }])
  })
})
