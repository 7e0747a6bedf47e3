import { describe, expect, it } from 'vitest'
import type { Schema } from '../src/api/orders'
import type { Cell } from '../src/api/reports'
import { claimOf, criteriaOf, grouped, titleOf } from '../src/pages/orders/order'
import { faultsOf, fieldOf, initial } from '../src/pages/orders/schema'
import { emptyPick, meansAll, pickFault, pickOf, selectionOf, wordsOf } from '../src/pages/orders/selection'
import { endedOf, partsOf, SIGNS, STATES, targetsOf } from '../src/pages/orders/shown'
import { additive, figureText, numberOf, sortedCells, unitOf } from '../src/pages/reports/figures'

const schema: Schema = {
  type: 'object',
  $defs: { point: { type: 'object', properties: { name: { type: 'string', minLength: 2 }, limit: { type: 'number', exclusiveMinimum: 0, maximum: 9 } }, required: ['name', 'limit'] } },
  properties: {
    name: { type: 'string', pattern: '^[a-z]+$' },
    count: { type: ['integer', 'null'], minimum: 1 },
    on: { type: 'boolean' },
    level: { enum: ['low', 'high'] },
    points: { type: 'array', items: { $ref: '#/$defs/point' }, minItems: 1 },
    note: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
  },
  required: ['name', 'points', 'on'],
}

describe('forms from a schema', () => {
  it('know the shape of every field', () => {
    const shape = (name: string) => fieldOf(schema.properties![name]!, schema)
    expect(['name', 'count', 'on', 'level', 'points', 'note', 'labels'].map((name) => shape(name).shape)).toEqual(['string', 'integer', 'boolean', 'choice', 'array', 'string', 'map'])
    expect([shape('count').nullable, shape('note').nullable, shape('name').nullable]).toEqual([true, true, false])
    expect(fieldOf({ $ref: '#/$defs/point' }, schema).shape).toBe('object')
    expect(fieldOf({}, schema).shape).toBe('json')
  })
  it('begin with what must be there', () => {
    expect(initial(schema, schema, true)).toEqual({ points: [], on: false })
    expect(initial({ type: 'integer', default: 3 }, schema, false)).toBe(3)
  })
  it('find what is wrong, and where', () => {
    const good = { name: 'abc', on: true, points: [{ name: 'p1', limit: 1 }] }
    expect(faultsOf(good, schema, schema)).toEqual([])
    const codes = (value: unknown) => faultsOf(value, schema, schema).map((fault) => `${fault.path} ${fault.code}`)
    expect(codes({ on: true, points: [] })).toEqual(['name required', 'points short'])
    expect(codes({ ...good, name: 'A' })).toEqual(['name pattern'])
    expect(codes({ ...good, count: 1.5 })).toEqual(['count type'])
    expect(codes({ ...good, count: 0 })).toEqual(['count least'])
    expect(codes({ ...good, count: null, note: null })).toEqual([])
    expect(codes({ ...good, count: 'x' })).toEqual(['count type'])
    expect(codes({ ...good, level: 'middle' })).toEqual(['level choice'])
    expect(codes({ ...good, points: [{ name: 'p', limit: 0 }, { name: 'p2', limit: 10 }] })).toEqual(['points/0/name short', 'points/0/limit least', 'points/1/limit most'])
    expect(codes({ ...good, labels: { a: 1 } })).toEqual(['labels/a type'])
  })
  it('leave patterns to the node that only Python knows', () => {
    expect(faultsOf('x', { type: 'string', pattern: '(?P<a>x)' }, {})).toEqual([])
  })
})

describe('the target picker', () => {
  it('makes the selection that the API takes, and back', () => {
    const picked = { ...emptyPick(), tiers: '企业，工厂, 企业', regions: '32', industries: 'c26' }
    expect(selectionOf(picked)).toEqual({ query: { tiers: ['企业', '工厂'], regions: ['32'], industries: ['C26'] } })
    expect(selectionOf(pickOf({ query: { subtree: 'x', sizes: ['大型'] } }))).toEqual({ query: { subtree: ['x'], sizes: ['大型'] } })
    expect(pickOf({ nodes: ['a', 'b'] })).toMatchObject({ mode: 'nodes', nodes: ['a', 'b'] })
    expect(wordsOf(' a;b、c\nd,')).toEqual(['a', 'b', 'c', 'd'])
  })
  it('says what is wrong, and warns of everybody', () => {
    expect(pickFault({ ...emptyPick(), mode: 'nodes' })).toBe('pick_nobody')
    expect(pickFault({ ...emptyPick(), regions: '321' })).toBe('pick_region')
    expect(pickFault({ ...emptyPick(), industries: '26' })).toBe('pick_industry')
    expect(pickFault(emptyPick())).toBeNull()
    expect(meansAll(emptyPick())).toBe(true)
    expect(meansAll({ ...emptyPick(), sizes: '大型' })).toBe(false)
  })
})

describe('states of targets', () => {
  it('draw every state once, with a sign for all but the first', () => {
    expect(new Set(STATES).size).toBe(16)
    expect(STATES.filter((state) => SIGNS[state] === '')).toEqual(['issued'])
    expect(partsOf({ issued: 2, verified: 3, failed: 0 })).toEqual([{ state: 'verified', count: 3 }, { state: 'issued', count: 2 }])
    expect(targetsOf({ executed: 2, verified: 3 })).toBe(5)
  })
  it('do not call executed an end', () => {
    expect(endedOf({ executed: 2, verified: 3, contradicted: 1, rolled_back: 4 })).toBe(4)
  })
  it('keep what the target says apart from what a probe saw', () => {
    const verdict = { finding: 'verified' as const, evidence: '', reason: '', at: '' }
    expect(claimOf({ state: 'verified', verdict })).toBe('executed')
    expect(claimOf({ state: 'rolled_back_verified', verdict })).toBe('rolled_back')
    expect(claimOf({ state: 'contradicted', verdict: { ...verdict, finding: 'contradicted' } })).toBeNull()
    expect(claimOf({ state: 'contradicted', said: 'failed', verdict })).toBe('failed')
    expect(claimOf({ state: 'executing', verdict: null })).toBe('executing')
  })
  it('show titles, digests and selections', () => {
    expect(titleOf({ zh: '通知' }, 'en', 'notice')).toBe('通知')
    expect(titleOf({}, 'en', 'notice')).toBe('notice')
    expect(grouped('abcdef01')).toBe('abcd ef01')
    expect(criteriaOf({ query: { tiers: [], regions: ['32'] } })).toEqual([{ name: 'regions', values: ['32'] }])
    expect(criteriaOf({ query: {} })).toEqual([])
    expect(criteriaOf({ nodes: ['a'] })).toEqual([{ name: 'nodes', values: ['a'] }])
  })
})

describe('figures of reports', () => {
  it('are shown by form; absent is nothing, not zero', () => {
    expect(figureText(undefined, 'en')).toBe('–')
    expect(figureText(null, 'en')).toBe('–')
    expect(figureText(0, 'en')).toBe('0')
    expect(figureText({ value: 120.4, low: 118, high: 123 }, 'en')).toBe('≈ 120 (118 – 123)')
    expect(figureText({ p5: 1, p50: 3, p95: 9 }, 'en')).toBe('3 (1 – 9)')
    expect(figureText([{ item: 'a', low: 2, high: 3 }], 'en')).toBe('a 2')
    expect([numberOf({ p50: 3 }), numberOf({ value: 2, low: 1, high: 3 }), numberOf([]), numberOf(undefined)]).toEqual([3, 2, null, null])
  })
  it('have units, unless they only count', () => {
    expect(unitOf({ name: 'a', form: 'count', unit: '{device}' })).toBe('')
    expect(unitOf({ name: 'a', form: 'sum', unit: '{point}/s' })).toBe('point/s')
    expect(additive([{ name: 'a', form: 'sum' }, { name: 'b', form: 'max' }]).map((one) => one.name)).toEqual(['a'])
  })
  it('sort with the absent last', () => {
    const cell = (region: string, value?: number): Cell => ({ keys: { region }, measures: value === undefined ? {} : { m: value }, nodes: 1, silent: 0, as_of: null })
    expect(sortedCells([cell('a'), cell('b', 1), cell('c', 2)], 'm', true, 'en').map((one) => one.keys.region)).toEqual(['c', 'b', 'a'])
    expect(sortedCells([cell('b', 1), cell('a', 2)], 'region', false, 'en').map((one) => one.keys.region)).toEqual(['a', 'b'])
  })
})
