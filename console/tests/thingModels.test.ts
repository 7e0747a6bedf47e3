import { describe, expect, it } from 'vitest'
import type { ThingModel } from '../src/api/thingModels'
import { fieldsText, fileName, inexactPlace, propertyRows, rangeOf, titleOf, valueText } from '../src/pages/thing-models/members'

describe('thing models', () => {
  const machine: ThingModel = { name: 'machine', properties: { hours: { data_type: 'int64', unit: 'h' } } }
  const own: ThingModel = { name: 'pump', extends: 'machine@1', properties: { flow: { data_type: 'double', minimum: 0, maximum: 120, on_violation: 'uncertain', titles: { zh: '流量' } } } }
  const resolved: ThingModel = { ...own, validation: { range: 'accept' }, properties: { ...machine.properties, ...own.properties } }

  it('marks what is inherited, and says which policy holds', () => {
    const rows = propertyRows(own, resolved, 'en')
    expect(rows.map((row) => [row.name, row.inherited, row.policy, row.title])).toEqual([
      ['hours', true, 'accept', ''],
      ['flow', false, 'uncertain', '流量'],
    ])
    expect(propertyRows(own, own, 'zh')[0]!.policy).toBe('uncertain')
    expect(propertyRows(machine, machine, 'zh')[0]!.policy).toBe('reject')
  })
  it('says a range in one line', () => {
    expect(rangeOf({ data_type: 'double', minimum: 0, maximum: 120 })).toBe('0 … 120')
    expect(rangeOf({ data_type: 'double', minimum: -1, maximum: null })).toBe('≥ -1')
    expect(rangeOf({ data_type: 'double', maximum: 0 })).toBe('≤ 0')
    expect(rangeOf({ data_type: 'string', choices: ['run', 'stop'], max_length: 8 })).toBe('run | stop; ≤ 8 ×')
    expect(rangeOf({ data_type: 'boolean' })).toBe('')
  })
  it('finds integers that a browser would round', () => {
    expect(inexactPlace(resolved)).toBeNull()
    expect(inexactPlace({ name: 'a', properties: { n: { data_type: 'int64', maximum: 2 ** 53 } } })).toBe('properties.n')
    expect(inexactPlace({ name: 'a', properties: { n: { data_type: 'double', maximum: 2 ** 53 } } })).toBeNull()
    expect(inexactPlace({ name: 'a', services: { go: { input: { n: { data_type: 'int64', minimum: -(2 ** 60) } } } } })).toBe('services.go.n')
  })
  it('writes fields, titles, values and names of files', () => {
    expect(fieldsText({ speed: { data_type: 'double', unit: '/min' }, ok: { data_type: 'boolean' } })).toBe('speed: double /min, ok: boolean')
    expect(titleOf({ zh: '泵' }, 'en')).toBe('泵')
    expect([valueText(null), valueText('a'), valueText({ a: 1 })]).toEqual(['–', 'a', '{"a":1}'])
    expect(fileName('泵@2', 'csv')).toBe('泵@2.csv')
  })
})
