import { describe, expect, it } from 'vitest'
import type { Manifest } from '../src/api/connections'
import { rowsOf } from '../src/pages/connections/csv'
import { driverOf, fieldsOf, optionsOf } from '../src/pages/connections/options'
import { milliseconds, shownState, total } from '../src/pages/connections/status'
import { argumentValue, writeValue } from '../src/pages/connections/writing'
import { derOf, inPairs } from '../src/pages/connections/certificate'
import { groupAndNode, metricValue } from '../src/pages/connections/sparkplug'

const modbus: Manifest = {
  protocol: 'modbus',
  schemes: ['modbus', 'modbus+rtu'],
  title: { zh: 'Modbus', en: 'Modbus' },
  level: 'gold',
  capabilities: ['read'],
  options_schema: {
    properties: {
      unit: { type: 'integer', minimum: 0, maximum: 255 },
      order: { enum: ['abcd', 'cdab'], default: 'abcd' },
      history: { type: 'boolean' },
      password: { type: 'string', writeOnly: true },
      registers: { type: 'array' },
      name: { type: 'string' },
    },
    required: ['unit'],
  },
  address_help: '',
}

describe('options of a driver', () => {
  const fields = fieldsOf(modbus)
  it('are fields by their schema', () => {
    expect(fields.map(({ name, kind }) => `${name} ${kind}`)).toEqual(['unit number', 'order choice', 'history switch', 'password secret', 'registers document', 'name text'])
    expect(fields.filter((field) => field.required).map((field) => field.name)).toEqual(['unit'])
    expect(fieldsOf(undefined)).toEqual([])
  })
  it('leave out what is empty and keep a secret as it is typed', () => {
    const texts = { unit: ' 7 ', order: '', history: 'false', password: ' a b ', registers: '[{"name":"泵"}]', name: ' x ' }
    expect(optionsOf(fields, texts)).toEqual({ unit: 7, history: false, password: ' a b ', registers: [{ name: '泵' }], name: 'x' })
  })
  it('name the field that cannot be read', () => {
    expect(optionsOf(fields, { unit: 'seven' })).toBe('unit')
    expect(optionsOf(fields, { registers: '[' })).toBe('registers')
  })
  it('find the driver of a URL', () => {
    expect(driverOf('MODBUS+RTU://10.0.0.1', [modbus])?.protocol).toBe('modbus')
    expect(driverOf('10.0.0.1:502', [modbus])).toBeUndefined()
    expect(driverOf('s7://10.0.0.1', [modbus])).toBeUndefined()
  })
})

describe('status of a connection', () => {
  it('is paused, unknown, or what the process says', () => {
    expect(shownState({ paused: true, status: null })).toBe('paused')
    expect(shownState({ paused: false, status: null })).toBe('unknown')
    expect(shownState({ paused: false, status: { state: 'waiting' } as never })).toBe('waiting')
  })
  it('has times and totals', () => {
    expect(milliseconds(0)).toBeNull()
    expect(milliseconds(1_700_000_000_500_000_000)).toBe(1_700_000_000_500)
    expect(total({ a: 2, b: 3 })).toBe(5)
    expect(total(undefined)).toBe(0)
  })
})

describe('a value that is written', () => {
  it('is of the type of its point, or none', () => {
    expect(writeValue('double', ' 2.5 ')).toBe(2.5)
    expect(writeValue('double', '')).toBeUndefined()
    expect(writeValue('double', '1e999')).toBeUndefined()
    expect(writeValue('int64', '9007199254740993')).toBeUndefined()
    expect(writeValue('boolean', 'TRUE')).toBe(true)
    expect(writeValue('boolean', '2')).toBeUndefined()
    expect(writeValue('string', ' a')).toBe(' a')
    expect(writeValue('json', '[1,2]')).toEqual([1, 2])
    expect(writeValue('json', '[')).toBeUndefined()
  })
})

describe('a register map in CSV', () => {
  it('is rows by name', () => {
    const text = '\uFEFFname,register,unit\r\n"泵, ""A""",holding:10,Cel\r\n\r\nb,"coil:1\n",\n'
    expect(rowsOf(text)).toEqual([{ name: '泵, "A"', register: 'holding:10', unit: 'Cel' }, { name: 'b', register: 'coil:1' }])
    expect(rowsOf('')).toEqual([])
  })
})

describe('certificates', () => {
  it('takes the bytes out of PEM', () => {
    expect([...derOf('-----BEGIN CERTIFICATE-----\nMAMC\nAQU=\n-----END CERTIFICATE-----\n')]).toEqual([0x30, 3, 2, 1, 5])
    expect(inPairs('A1B2C3')).toBe('A1:B2:C3')
  })
})

describe('Sparkplug', () => {
  it('reads names and values', () => {
    expect([groupAndNode('plant/press 1'), groupAndNode('alone')]).toEqual([['plant', 'press 1'], ['', 'alone']])
    expect([metricValue('number', ' 1.5 '), metricValue('number', '1e3'), metricValue('number', ''), metricValue('number', 'x')]).toEqual([1.5, 1000, undefined, undefined])
    expect(metricValue('number', '9007199254740993')).toBeUndefined()
    expect([metricValue('boolean', 'TRUE'), metricValue('boolean', '0'), metricValue('boolean', 'on')]).toEqual([true, false, undefined])
    expect(metricValue('text', ' a ')).toBe(' a ')
  })
})

describe('arguments of a method', () => {
  const of = (type_name: string, array = false) => ({ type_name, array })
  it('are of the type that the machine declares', () => {
    expect(argumentValue(of('Double'), ' 4.5 ')).toBe(4.5)
    expect(argumentValue(of('UInt16'), '7')).toBe(7)
    expect(argumentValue(of('Boolean'), 'false')).toBe(false)
    expect(argumentValue(of('String'), ' 泵 ')).toBe(' 泵 ')
    expect(argumentValue(of('DateTime'), '2026-03-04T05:06:07Z')).toBe('2026-03-04T05:06:07Z')
    expect(argumentValue(of('Int16', true), '[1, 2]')).toEqual([1, 2])
  })
  it('are not taken while they do not fit, or would be rounded', () => {
    for (const [type, text] of [['Double', ''], ['Double', 'drei'], ['Int32', '1.5'], ['Int64', '9007199254740993'], ['Boolean', 'ja']] as const) {
      expect(argumentValue(of(type), text)).toBeUndefined()
    }
    expect(argumentValue(of('Int16', true), '1')).toBeUndefined()
    expect(argumentValue(of('Int16', true), '[')).toBeUndefined()
  })
})
