import { describe, expect, it } from 'vitest'
import type { LiveFigures, TreeNode } from '../src/api/tree'
import { attributesOf } from '../src/pages/tree/attributes'
import { conditionOf, gravest } from '../src/pages/tree/condition'
import { consoleOf } from '../src/pages/tree/consoles'
import { complete, figureOf, old, sorted, totalOf } from '../src/pages/tree/figures'
import { provinceOf, TILES } from '../src/pages/tree/provinces'
import { squarify } from '../src/pages/tree/treemap'

const live = (more: Partial<LiveFigures> = {}): LiveFigures => ({
  devices: 10, online: 9, points_per_second: 3.5, alarms: 0, apps: 0, identifiers: 10, as_of: '2026-11-22T00:00:00Z', known: 3, reported: 3, silent: 0, ...more,
})
const node = (name: string, more: Partial<TreeNode> = {}): TreeNode => ({
  id: name.padEnd(24, 'a'), name, tier: 'site', parent: '', prefix: '', state: 'active', attributes: {}, revision: 1, valid_until: '2027-01-01T00:00:00Z', children: 0, descendants: 0, version: '1', health: 'ok', heard_at: null, link: null, live: live(), ...more,
})

describe('figures of a subtree', () => {
  it('are no figure, never zero, where nobody was heard', () => {
    expect(figureOf(null, 'devices')).toBeNull()
    expect(figureOf(live({ devices: 0, reported: 0, silent: 0 }), 'devices')).toBeNull()
    expect(figureOf(live({ devices: 0 }), 'devices')).toBe(0)
  })
  it('keep the last word of the silent, and say that it is old', () => {
    const silent = live({ reported: 0, silent: 3 })
    expect(figureOf(silent, 'devices')).toBe(10)
    const soon = Date.parse('2026-11-22T00:00:01Z')
    expect(old(node('a', { live: silent }), soon)).toBe(true)
    expect(complete(silent)).toBe(false)
    expect(old(node('a'), soon)).toBe(false)
    expect(old(node('a', { health: 'silent' }), soon)).toBe(true)
    expect(old(node('a', { health: 'silent', live: null }), soon)).toBe(false)
    expect(old(node('a'), Date.parse('2026-11-22T01:00:00Z'))).toBe(true)
  })
  it('add up what is known only', () => {
    expect(totalOf([node('a'), node('b', { live: null })], 'devices')).toBe(10)
    expect(totalOf([node('b', { live: null })], 'devices')).toBeNull()
  })
  it('sort with the unknown last, both ways', () => {
    const nodes = [node('b', { live: live({ devices: 1 }) }), node('x', { live: null }), node('a10'), node('a9')]
    expect(sorted(nodes, 'devices', true, 'en').map((one) => one.name)).toEqual(['a9', 'a10', 'b', 'x'])
    expect(sorted(nodes, 'devices', false, 'en').map((one) => one.name)).toEqual(['b', 'a9', 'a10', 'x'])
    expect(sorted(nodes, 'name', false, 'en').map((one) => one.name)).toEqual(['a9', 'a10', 'b', 'x'])
  })
})

describe('condition', () => {
  it('is the state in the tree first', () => {
    expect(conditionOf({ state: 'suspended', health: 'ok' })).toBe('suspended')
    expect(conditionOf({ state: 'active', health: 'silent' })).toBe('silent')
  })
  it('of several is the gravest', () => {
    expect(gravest(['ok', 'degraded', 'silent'])).toBe('silent')
    expect(gravest([])).toBe('unknown')
  })
})

describe('treemap', () => {
  it('fills the space in proportion', () => {
    const values = [6, 6, 4, 3, 2, 2, 1]
    const boxes = squarify(values, { x: 0, y: 0, width: 600, height: 400 })
    const areas = boxes.map((box) => box.width * box.height)
    expect(areas.map((area) => Math.round((area / 240_000) * 24))).toEqual(values)
    expect(Math.max(...boxes.map((box) => Math.max(box.width / box.height, box.height / box.width)))).toBeLessThan(3)
    expect(Math.max(...boxes.map((box) => box.x + box.width))).toBeCloseTo(600)
    expect(Math.max(...boxes.map((box) => box.y + box.height))).toBeCloseTo(400)
    for (const [index, box] of boxes.entries())
      for (const other of boxes.slice(index + 1)) {
        const across = Math.min(box.x + box.width, other.x + other.width) - Math.max(box.x, other.x)
        const down = Math.min(box.y + box.height, other.y + other.height) - Math.max(box.y, other.y)
        expect(across > 0.001 && down > 0.001).toBe(false)
      }
  })
  it('draws nothing of nothing', () => {
    expect(squarify([], { x: 0, y: 0, width: 10, height: 10 })).toEqual([])
  })
})

describe('the rest of the tree', () => {
  it('has a tile for each of the 34 codes, none on another', () => {
    expect(TILES.length).toBe(34)
    expect(new Set(TILES.map((tile) => tile.code)).size).toBe(34)
    expect(new Set(TILES.map((tile) => `${tile.row} ${tile.column}`)).size).toBe(34)
    expect([provinceOf('320102'), provinceOf('99'), provinceOf(undefined)]).toEqual(['32', null, null])
  })
  it('links to consoles by http only', () => {
    expect(consoleOf('http://10.0.0.1:8080/x')).toBe('http://10.0.0.1:8080')
    expect(consoleOf('javascript:alert(1)')).toBeNull()
    expect(consoleOf('not an address')).toBeNull()
    expect(consoleOf(null)).toBeNull()
  })
  it('sends attributes that say something', () => {
    expect(attributesOf({ region: ' 32 ', industry: '', size: '' })).toEqual({ attributes: { region: '32' } })
    expect(attributesOf({ region: '', industry: '', size: '' })).toEqual({})
  })
})
