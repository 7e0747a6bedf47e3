import { describe, expect, it } from 'vitest'
import { alarmText } from '@/components/alarmText'
import { i18n } from '@/i18n'
import { readCall, routeAddress } from '@/pages/apps/frame'
import { isGranted, proposedRefusals, reasonOf, withBox } from '@/pages/apps/consent'
import { markOf, stateOf } from '@/pages/apps/state'
import { amount, monthOf, planText } from '@/pages/store/words'

describe('what a page of an app may ask', () => {
  it('reaches only the routes of its own app', () => {
    expect(routeAddress('com.example.pump', '/state', {})).toBe('/apps/com.example.pump/api/state')
    expect(routeAddress('a.b', '/泵/1', { from: 'x&y' })).toBe('/apps/a.b/api/%E6%B3%B5/1?from=x%26y')
    for (const path of ['state', '', '/', '/../../users', '/a/%2e%2e/%2e%2e/users', '/a/..%2f..%2fusers', '/a\\..\\b', '/a?b', '/a#b', '/%zz', '/.', '/a%00', '//']) {
      expect(routeAddress('a.b', path, {}), path).toBeNull()
    }
  })
  it('is nothing but a call of the protocol', () => {
    expect(readCall('a.b', { type: 'gongfu.call', id: 1, method: 'GET', path: '/x', query: { n: 1 }, body: '' })).toEqual({ id: 1, method: 'GET', address: '/apps/a.b/api/x?n=1', body: '' })
    expect(readCall('a.b', { type: 'gongfu.call', id: 2, method: 'PATCH', path: '/x' })).toEqual({ id: 2, refused: 'method' })
    expect(readCall('a.b', { type: 'gongfu.call', id: 3, method: 'GET', path: '/../session' })).toEqual({ id: 3, refused: 'path' })
    expect(readCall('a.b', { type: 'gongfu.call', id: 4, method: 'POST', path: '/x', body: 'x'.repeat(2_000_000) })).toEqual({ id: 4, refused: 'body' })
    for (const data of [null, 'x', {}, { type: 'other', id: 1 }, { type: 'gongfu.call', id: '1' }]) expect(readCall('a.b', data)).toBeNull()
  })
})

describe('the state of an app', () => {
  const running = { state: 'failing' } as never
  it('is told in one word', () => {
    expect(stateOf({ status: 'installed', enabled: true, running })).toBe('failing')
    expect(stateOf({ status: 'installed', enabled: false, running })).toBe('disabled')
    expect(stateOf({ status: 'installed', enabled: true, running: null, withheld: 'the key was revoked' })).toBe('withheld')
    expect(stateOf({ status: 'upgrading', enabled: true, running })).toBe('changing')
    expect(markOf({ status: 'installed', enabled: true, running: null })).toBe('off')
  })
})

describe('words of the store', () => {
  it('has amounts, plans and months', () => {
    expect(amount(12_345, 'CNY', 'zh-CN')).toBe('¥123.45')
    const t = (key: string, words?: Record<string, unknown>) => `${key} ${String(words?.price)}`
    expect(planText({ kind: 'per-device-month', amount: 100, currency: 'CNY', included: 0 }, 'zh-CN', t)).toBe('store.plan_per_device_month ¥1.00')
    expect(monthOf(new Date('2026-10-31T23:59:59Z'))).toBe('2026-10')
  })
})

describe('consent to what an app asks for', () => {
  const ask = (name: string, optional: boolean, granted: boolean) => ({ kind: 'read', what: "'x'", line: name, name, optional, reason: { en: 'Because', zh: '因为' }, granted, new: true })
  const asked = [ask('', false, true), ask('speed', true, false), ask('alarms', true, true), ask('speed', true, false)]
  it('proposes to refuse again what was refused, and nothing that must be', () => {
    expect(proposedRefusals(asked)).toEqual(['speed'])
    expect(withBox(['speed'], 'speed', true)).toEqual([])
    expect(withBox(['speed'], 'alarms', false)).toEqual(['alarms', 'speed'])
    expect(asked.map((one) => isGranted(one, ['', 'speed']))).toEqual([true, false, true, false])
  })
  it('has its reason in the language of the user', () => {
    expect(reasonOf(asked[0]!, 'zh')).toBe('因为')
    expect(reasonOf({ ...asked[0]!, reason: {} }, 'zh')).toBe('')
  })
})

describe('the text of an alarm', () => {
  it('is in the language of the user where there are two', () => {
    i18n.global.locale.value = 'zh'
    expect(alarmText({ message: 'hot', message_zh: '热' })).toBe('热')
    expect(alarmText({ message: 'hot', message_zh: '' })).toBe('hot')
    i18n.global.locale.value = 'en'
    expect(alarmText({ message: 'hot', message_zh: '热' })).toBe('hot')
  })
})
