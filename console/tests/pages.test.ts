import { describe, expect, it } from 'vitest'
import { allowed } from '../src/api/permissions'
import { search } from '../src/api/http'
import { hasWords, wordsOf } from '../src/api/pointSearch'
import { demoKindOf, disturbanceCommand, isOn, pointsByName } from '../src/pages/demo/plants'
import { examplesFor, linesOf, shellQuote } from '../src/pages/devices/examples'
import { KINDS, draftOf, emptyForm, formOf, globMatches, sayRule, shortCondition } from '../src/pages/rules/draft'
import { cellText, csvOfRows, isNumeric } from '../src/pages/sql/rows'
import { indexAt, readingAt, summaryOf } from '../src/trend/reading'

const say = (key: string, named: Record<string, string | number> = {}) => `${key} ${Object.entries(named).map((pair) => pair.join('=')).join(' ')}`

describe('rules', () => {
  const form = { ...emptyForm(), name: 'n', asset: 'tep/*', point: 'pressure', limit: '2895', deadband: '20', delay: '1' }
  it('turns the form into a request and back', () => {
    const draft = draftOf(form)
    expect(draft).toMatchObject({ kind: 'threshold', condition: { direction: 'above', limit: 2895, deadband: 20, delay_s: 1 } })
    if (typeof draft === 'string') throw new Error(draft)
    expect(formOf({ ...draft, id: 1 })).toEqual(form)
  })
  it('keeps what the form does not show', () => {
    expect(draftOf(form, { off_delay_s: 9 } as object)).toMatchObject({ condition: { off_delay_s: 9, limit: 2895 } })
  })
  it('names what is wrong', () => {
    expect(draftOf({ ...form, name: ' ' })).toBe('bad_name')
    expect(draftOf({ ...form, limit: '' })).toBe('bad_number')
    expect(draftOf({ ...form, limit: '1e999' })).toBe('bad_number')
    expect(draftOf({ ...form, kind: 'absence', timeout: '0' })).toBe('bad_positive')
    expect(draftOf({ ...form, kind: 'rate', per_s: '-1' })).toBe('bad_positive')
  })
  it('says the rule in words', () => {
    const draft = draftOf(form)
    if (typeof draft === 'string') throw new Error(draft)
    expect(sayRule(draft, say)[0]).toContain('limit=2895 delay=1')
    expect(sayRule(draft, say)[1]).toContain('back=2875 side=rules.side_below')
    expect(shortCondition('rate', { direction: 'below', per_s: 2, window_s: 5 })).toBe('Δ −2/s, 5 s')
  })
  it('matches globs as the node does', () => {
    expect(globMatches('tep/*', 'tep/reactor', true)).toBe(true)
    expect(globMatches('tep/*', 'tep/reactor/jacket', true)).toBe(false)
    expect(globMatches('tep/**', 'tep/reactor/jacket', true)).toBe(true)
    expect(globMatches('*temperature*', 'cooling_temperature_1', false)).toBe(true)
    expect(globMatches('a.b', 'axb', false)).toBe(false)
    expect(globMatches('泵-?', '泵-1', false)).toBe(true)
  })
})

describe('device examples', () => {
  it('quotes for the shell', () => {
    expect(shellQuote('pump-1')).toBe('pump-1')
    expect(shellQuote("it's 泵")).toBe("'it'\\''s 泵'")
  })
  it('uses the name, the secret and the address of the page', () => {
    const examples = examplesFor('泵 1', 's3cret', { origin: 'http://node:8080', hostname: 'node' })
    expect(examples.map((example) => example.name)).toEqual(['mosquitto_pub', 'curl', 'Python'])
    expect(examples[0]!.text).toContain("-h node -p 1883 -i '泵 1' -u '泵 1' -P s3cret")
    expect(examples[1]!.text).toContain("-u '泵 1:s3cret'")
    expect(examples[1]!.text).toContain('http://node:8080/v1/telemetry')
  })
  it('reads filters line by line', () => {
    expect(linesOf(' a/# \n\n b ')).toEqual(['a/#', 'b'])
  })
})

describe('demo', () => {
  it('knows demo plants by their attribute only', () => {
    expect(demoKindOf({ attributes: { demo: 'tep' } })).toBe('tep')
    expect(demoKindOf({ attributes: { demo: 'other' } })).toBeNull()
    expect(demoKindOf({ attributes: {} })).toBeNull()
  })
  it('finds points by their place below the plant', () => {
    const point = (asset_path: string, name: string) => ({ series: 1, asset_id: 1, asset_path, name, type: 'double', unit: '', description: '', latest: null })
    expect([...pointsByName([point('tep/reactor', 'level'), point('tep', 'idv_4')], 'tep').keys()]).toEqual(['reactor/level', 'idv_4'])
  })
  it('writes the command the plant documents', () => {
    expect(disturbanceCommand(4, true)).toBe('{"method":"setDisturbance","params":{"number":4,"active":true}}')
    expect([true, 1, 0, false, undefined, 'x'].map(isOn)).toEqual([true, true, false, false, false, false])
  })
})

describe('read-out', () => {
  const line = { times: [0, 10, 20, 30, 200], values: [1, 2, 3, 4, 9], qualities: ['good', 'good', 'bad', 'good', 'good'] as ('good' | 'bad')[] }
  it('finds the value that was valid', () => {
    expect(indexAt(line.times, 15)).toBe(1)
    expect(indexAt(line.times, -1)).toBe(-1)
    expect(readingAt(line, 35, null, false)).toEqual({ time: 30, value: 4, quality: 'good' })
    expect(readingAt(line, 150, null, false)).toBeNull()
    expect(readingAt(line, 150, null, true)?.value).toBe(4)
  })
  it('leaves bad values out of the extremes', () => {
    expect(summaryOf(line, 0, 30)).toEqual({ min: 1, max: 4, count: 3 })
    expect(summaryOf(line, 500, 600)).toBeNull()
  })
})

describe('the rest', () => {
  it('shows SQL cells and writes CSV', () => {
    expect([null, 1, { a: 1 }, 'x'].map(cellText)).toEqual(['∅', '1', '{"a":1}', 'x'])
    expect(['Float64', 'Nullable(UInt8)', 'String', 'DateTime64(9)'].map(isNumeric)).toEqual([true, true, false, false])
    expect(csvOfRows({ columns: [{ name: 'a', type: 'String' }], rows: [['=x'], ['a,b'], [null]], truncated: false, elapsed_ms: 1 })).toBe('a\r\n\'=x\r\n"a,b"\r\n\r\n')
  })
  it('builds queries of what is there', () => {
    expect(search({ a: '', b: undefined, c: false, d: '泵 1' })).toBe('?c=false&d=%E6%B3%B5+1')
    expect(search({})).toBe('')
  })
  it('grants what the node grants', () => {
    expect(allowed('viewer', 'alarm.acknowledge')).toBe(false)
    expect(allowed('operator', 'alarm.acknowledge')).toBe(true)
    expect(allowed('operator', 'device.send')).toBe(false)
    expect(allowed('admin', 'user.write')).toBe(true)
    expect([allowed('operator', 'order.answer'), allowed('operator', 'order.write'), allowed('engineer', 'tree.write')]).toEqual([true, false, false])
    expect(allowed('admin', 'tree.write', 2)).toBe(false)
    expect([allowed('engineer', 'node.operate'), allowed('admin', 'node.operate'), allowed('admin', 'node.operate', 2)]).toEqual([false, true, false])
  })
})

describe('point search', () => {
  it('asks the node for the longest word and checks the others', () => {
    expect(wordsOf(' tep/reactor  pressure ')).toEqual(['pressure', 'reactor', 'tep'])
    const point = { asset_path: 'tep/Reactor', name: 'pressure' }
    expect(hasWords(point, wordsOf('reactor PRESS'))).toBe(true)
    expect(hasWords(point, wordsOf('separator press'))).toBe(false)
    expect(hasWords(point, [])).toBe(true)
  })
})

describe('rules of several points and windows', () => {
  const base = { ...emptyForm(), name: 'n', asset: 'plant/*', point: 'p', limit: '3' }
  it('sends only what a kind has', () => {
    expect(draftOf({ ...base, kind: 'window', shape: 'session' })).toMatchObject({ condition: { window: 'session', gap_s: 30 } })
    expect(draftOf({ ...base, kind: 'window', shape: 'tumbling' })).not.toHaveProperty('condition.every_s')
    expect(draftOf({ ...base, kind: 'pattern', point: '', ordered: true, steps: 'a > 1\n\n b > 2 ' })).toMatchObject({ condition: { sequence: ['a > 1', 'b > 2'], within_s: 30 } })
    expect(draftOf({ ...base, kind: 'pattern', point: '', expression: ' ' })).toBe('bad_expression')
    expect(draftOf({ ...base, kind: 'deviation', direction: 'either', unit: 'bar', lateness: '5' })).toMatchObject({ unit: 'bar', lateness_s: 5, condition: { direction: 'either' } })
    expect(draftOf({ ...base, kind: 'window', size: '0' })).toBe('bad_positive')
  })
  it('comes back as it was written', () => {
    for (const kind of KINDS) {
      const draft = draftOf({ ...base, kind, per_s: '1', expression: 'a > 1' })
      if (typeof draft === 'string') throw new Error(draft)
      expect(draftOf(formOf(draft))).toEqual(draft)
      expect(shortCondition(kind, draft.condition)).not.toBe('')
    }
  })
})
