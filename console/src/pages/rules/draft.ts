/** Pure: a rule as the form holds it (text fields), as the API takes it, and in plain words. */

import type { Priority, Rule, RuleCondition, RuleDraft, RuleKind } from '@/api/types'

export interface RuleForm {
  name: string
  kind: RuleKind
  asset: string
  point: string
  direction: 'above' | 'below'
  limit: string
  deadband: string
  delay: string
  per_s: string
  window: string
  timeout: string
  priority: Priority
  message: string
  enabled: boolean
}

export const emptyForm = (): RuleForm => ({
  name: '', kind: 'threshold', asset: '', point: '', direction: 'above', limit: '', deadband: '0', delay: '0', per_s: '', window: '10', timeout: '60', priority: 'medium', message: '', enabled: true,
})

const text = (value: number | undefined, otherwise: string) => (value === undefined ? otherwise : String(value))

export function formOf(rule: Rule): RuleForm {
  const { condition } = rule
  return {
    ...emptyForm(),
    name: rule.name,
    kind: rule.kind,
    asset: rule.asset,
    point: rule.point,
    priority: rule.priority,
    message: rule.message,
    enabled: rule.enabled,
    direction: condition.direction ?? 'above',
    limit: text(condition.limit, ''),
    deadband: text(condition.deadband, '0'),
    delay: text(condition.delay_s, '0'),
    per_s: text(condition.per_s, ''),
    window: text(condition.window_s, '10'),
    timeout: text(condition.timeout_s, '60'),
  }
}

export type FormFault = 'bad_name' | 'bad_number' | 'bad_positive'

function number(value: string): number {
  return value.trim() === '' ? Number.NaN : Number(value)
}

/** The request for the API, or what is wrong with the form. `kept` are members of the condition the form does not show. */
export function draftOf(form: RuleForm, kept: RuleCondition = {}): RuleDraft | FormFault {
  const words = { name: form.name.trim(), asset: form.asset.trim(), point: form.point.trim() }
  if (!words.name || !words.asset || !words.point) return 'bad_name'
  let condition: RuleCondition
  const direction = form.direction
  if (form.kind === 'threshold') condition = { ...kept, direction, limit: number(form.limit), deadband: number(form.deadband), delay_s: number(form.delay) }
  else if (form.kind === 'rate') condition = { ...kept, direction, per_s: number(form.per_s), window_s: number(form.window) }
  else condition = { timeout_s: number(form.timeout) }
  const numbers = Object.values(condition).filter((value): value is number => typeof value === 'number')
  if (!numbers.every(Number.isFinite)) return 'bad_number'
  const { deadband = 0, delay_s = 0, per_s = 1, window_s = 1, timeout_s = 1 } = condition
  if (deadband < 0 || delay_s < 0 || per_s <= 0 || window_s <= 0 || timeout_s <= 0) return 'bad_positive'
  return { ...words, kind: form.kind, condition, priority: form.priority, message: form.message.trim(), enabled: form.enabled }
}

export type Translate = (key: string, named?: Record<string, string | number>) => string

/** The rule in plain words, sentence by sentence. */
export function sayRule(rule: Pick<RuleDraft, 'kind' | 'asset' | 'point' | 'condition' | 'priority'>, t: Translate): string[] {
  const { condition } = rule
  const base = { asset: rule.asset, point: rule.point, priority: t(`priority.${rule.priority}`) }
  if (rule.kind === 'absence') return [t('rules.say_absence', { ...base, timeout: condition.timeout_s ?? 0 })]
  const above = condition.direction !== 'below'
  if (rule.kind === 'rate') {
    const direction = t(above ? 'rules.rising' : 'rules.falling')
    return [t('rules.say_rate', { ...base, direction, per_s: condition.per_s ?? 0, window: condition.window_s ?? 0 })]
  }
  const limit = condition.limit ?? 0
  const named = { ...base, direction: t(above ? 'rules.above' : 'rules.below'), limit, delay: condition.delay_s ?? 0 }
  const sentences = [t(condition.delay_s ? 'rules.say_threshold_delay' : 'rules.say_threshold', named)]
  if (condition.deadband) {
    const back = Number((above ? limit - condition.deadband : limit + condition.deadband).toPrecision(10))
    sentences.push(t('rules.say_deadband', { back, side: t(above ? 'rules.side_below' : 'rules.side_above') }))
  }
  return sentences
}

/** The condition in short, for the list. */
export function shortCondition(kind: RuleKind, condition: RuleCondition): string {
  const sign = condition.direction === 'below' ? '<' : '>'
  if (kind === 'threshold') return `${sign} ${condition.limit ?? '?'}${condition.delay_s ? `, ${condition.delay_s} s` : ''}`
  if (kind === 'rate') return `Δ ${sign === '<' ? '−' : '+'}${Number((condition.per_s ?? 0).toPrecision(4))}/s, ${condition.window_s ?? '?'} s`
  return `∅ ${condition.timeout_s ?? '?'} s`
}

/** Does a glob match, as in gongfu/reason/rules: in paths * stays within a level and ** does not. */
export function globMatches(pattern: string, text: string, levels: boolean): boolean {
  const source = pattern.replace(/\*\*|[*?]|[.+^${}()|[\]\\]/g, (part) => {
    if (part === '**') return '.*'
    if (part === '*') return levels ? '[^/]*' : '.*'
    if (part === '?') return levels ? '[^/]' : '.'
    return `\\${part}`
  })
  return new RegExp(`^${source}$`, 'su').test(text)
}
