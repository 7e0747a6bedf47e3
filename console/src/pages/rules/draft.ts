/** Pure: a rule as the form holds it (text fields), as the API takes it, and in plain words. */

import type { Priority, Rule, RuleCondition, RuleDraft, RuleKind } from '@/api/types'

export const KINDS: RuleKind[] = ['threshold', 'rate', 'absence', 'window', 'pattern', 'deviation']
export const AGGREGATES = ['mean', 'min', 'max', 'sum', 'count', 'stddev', 'range', 'first', 'last', 'delta'] as const

export interface RuleForm {
  name: string
  kind: RuleKind
  asset: string
  point: string
  direction: 'above' | 'below' | 'either'
  limit: string
  deadband: string
  delay: string
  off_delay: string
  per_s: string
  window: string
  timeout: string
  shape: 'tumbling' | 'sliding' | 'session'
  aggregate: string
  size: string
  every: string
  gap: string
  ordered: boolean
  expression: string
  /** Expressions in order, one a line. */
  steps: string
  within: string
  tolerance: string
  against: 'median' | 'mean'
  among: 'siblings' | 'all'
  relative: boolean
  at_least: string
  unit: string
  lateness: string
  priority: Priority
  message: string
  enabled: boolean
}

export const emptyForm = (): RuleForm => ({
  name: '', kind: 'threshold', asset: '', point: '', direction: 'above', limit: '', deadband: '0', delay: '0', off_delay: '0', per_s: '', window: '10', timeout: '60', shape: 'tumbling', aggregate: 'mean', size: '60', every: '10', gap: '30', ordered: false, expression: '', steps: '', within: '30', tolerance: '60', against: 'median', among: 'siblings', relative: false, at_least: '3', unit: '', lateness: '', priority: 'medium', message: '', enabled: true,
})

const text = (value: number | null | undefined, otherwise: string) => (value === undefined || value === null ? otherwise : String(value))

export function formOf(rule: Rule | RuleDraft): RuleForm {
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
    unit: rule.unit ?? '',
    lateness: text(rule.lateness_s, ''),
    direction: condition.direction ?? 'above',
    limit: text(condition.limit, ''),
    deadband: text(condition.deadband, '0'),
    delay: text(condition.delay_s, '0'),
    off_delay: text(condition.off_delay_s, '0'),
    per_s: text(condition.per_s, ''),
    window: text(condition.window_s, '10'),
    timeout: text(condition.timeout_s, '60'),
    shape: condition.window ?? 'tumbling',
    aggregate: condition.aggregate ?? 'mean',
    size: text(condition.size_s, '60'),
    every: text(condition.every_s, '10'),
    gap: text(condition.gap_s, '30'),
    ordered: Boolean(condition.sequence),
    expression: condition.expression ?? '',
    steps: (condition.sequence ?? []).join('\n'),
    within: text(condition.within_s, '30'),
    tolerance: text(condition.tolerance_s, '60'),
    against: condition.against ?? 'median',
    among: condition.among ?? 'siblings',
    relative: condition.relative ?? false,
    at_least: text(condition.at_least, '3'),
  }
}

export type FormFault = 'bad_name' | 'bad_number' | 'bad_positive' | 'bad_expression'

function number(value: string): number {
  return value.trim() === '' ? Number.NaN : Number(value)
}

const lines = (value: string) => value.split('\n').map((line) => line.trim()).filter(Boolean)

function conditionOf(form: RuleForm, kept: RuleCondition): RuleCondition {
  const direction = form.direction === 'either' && form.kind !== 'deviation' ? 'above' : form.direction
  const delays = { delay_s: number(form.delay), off_delay_s: kept.off_delay_s ?? number(form.off_delay) }
  const latch = { direction, limit: number(form.limit), deadband: number(form.deadband), ...delays }
  switch (form.kind) {
    case 'threshold':
      return { ...kept, ...latch }
    case 'rate':
      return { ...kept, direction, per_s: number(form.per_s), window_s: number(form.window) }
    case 'absence':
      return { timeout_s: number(form.timeout) }
    case 'window': {
      const common = { window: form.shape, aggregate: form.aggregate, ...latch }
      if (form.shape === 'session') return { ...common, gap_s: number(form.gap) }
      const size = { ...common, size_s: number(form.size) }
      return form.shape === 'sliding' ? { ...size, every_s: number(form.every) } : size
    }
    case 'pattern': {
      const common = { tolerance_s: number(form.tolerance), ...delays }
      return form.ordered ? { ...common, sequence: lines(form.steps), within_s: number(form.within) } : { ...common, expression: form.expression.trim() }
    }
    case 'deviation':
      return { against: form.against, among: form.among, relative: form.relative, every_s: number(form.every), tolerance_s: number(form.tolerance), at_least: number(form.at_least), ...latch }
  }
}

/** The request for the API, or what is wrong with the form. `kept` are members of the condition the form does not show. */
export function draftOf(form: RuleForm, kept: RuleCondition = {}): RuleDraft | FormFault {
  const words = { name: form.name.trim(), asset: form.asset.trim(), point: form.point.trim() }
  if (!words.name || !words.asset || (!words.point && form.kind !== 'pattern')) return 'bad_name'
  const condition = conditionOf(form, kept)
  const numbers = Object.values(condition).filter((value): value is number => typeof value === 'number')
  const lateness = form.lateness.trim() === '' ? null : number(form.lateness)
  if (!numbers.every(Number.isFinite) || (lateness !== null && !Number.isFinite(lateness))) return 'bad_number'
  const { deadband = 0, delay_s = 0 } = condition
  const positive = [condition.per_s, condition.window_s, condition.timeout_s, condition.size_s, condition.every_s, condition.gap_s, condition.within_s, condition.tolerance_s]
  if (deadband < 0 || delay_s < 0 || positive.some((value) => typeof value === 'number' && value <= 0) || (lateness ?? 0) < 0) return 'bad_positive'
  if (form.kind === 'pattern' && (form.ordered ? (condition.sequence?.length ?? 0) < 2 : !condition.expression)) return 'bad_expression'
  const further = { ...(form.unit.trim() ? { unit: form.unit.trim() } : {}), ...(lateness === null ? {} : { lateness_s: lateness }) }
  return { ...words, kind: form.kind, condition, priority: form.priority, message: form.message.trim(), enabled: form.enabled, ...further }
}

export type Translate = (key: string, named?: Record<string, string | number>) => string

/** The rule in plain words, sentence by sentence. */
export function sayRule(rule: Pick<RuleDraft, 'kind' | 'asset' | 'point' | 'condition' | 'priority' | 'unit'>, t: Translate): string[] {
  const { condition } = rule
  const base = { asset: rule.asset, point: rule.point, priority: t(`priority.${rule.priority}`) }
  if (rule.kind === 'absence') return [t('rules.say_absence', { ...base, timeout: condition.timeout_s ?? 0 })]
  if (rule.kind === 'pattern') {
    const steps = condition.sequence
    if (steps) return [t('rules.say_sequence', { ...base, steps: steps.join(` ${t('rules.then')} `), within: condition.within_s ?? 0 })]
    return [t('rules.say_pattern', { ...base, expression: condition.expression ?? '' })]
  }
  const above = condition.direction !== 'below'
  if (rule.kind === 'rate') {
    const direction = t(above ? 'rules.rising' : 'rules.falling')
    return [t('rules.say_rate', { ...base, direction, per_s: condition.per_s ?? 0, window: condition.window_s ?? 0 })]
  }
  const limit = condition.limit ?? 0
  const unit = rule.unit ? ` ${rule.unit}` : ''
  const named = { ...base, direction: t(`rules.${condition.direction ?? 'above'}`), limit: `${limit}${unit}`, delay: condition.delay_s ?? 0 }
  if (rule.kind === 'window') {
    const aggregate = t(`rules.aggregate_${condition.aggregate ?? 'mean'}`)
    return [t(`rules.say_${condition.window ?? 'tumbling'}`, { ...named, aggregate, size: condition.size_s ?? 0, every: condition.every_s ?? 0, gap: condition.gap_s ?? 0 })]
  }
  if (rule.kind === 'deviation') {
    const percent = condition.relative ? ' %' : unit
    return [t('rules.say_deviation', { ...named, limit: `${limit}${percent}`, against: t(`rules.${condition.against ?? 'median'}`), among: t(`rules.${condition.among ?? 'siblings'}`) })]
  }
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
  const delay = condition.delay_s ? `, ${condition.delay_s} s` : ''
  if (kind === 'threshold') return `${sign} ${condition.limit ?? '?'}${delay}`
  if (kind === 'rate') return `Δ ${sign === '<' ? '−' : '+'}${Number((condition.per_s ?? 0).toPrecision(4))}/s, ${condition.window_s ?? '?'} s`
  if (kind === 'window') {
    const span = condition.window === 'session' ? `∅ ${condition.gap_s ?? '?'}` : `${condition.size_s ?? '?'}${condition.every_s ? `/${condition.every_s}` : ''}`
    return `${condition.aggregate ?? '?'}(${span} s) ${sign} ${condition.limit ?? '?'}${delay}`
  }
  if (kind === 'pattern') return condition.sequence ? condition.sequence.join(' → ') : (condition.expression ?? '')
  if (kind === 'deviation') return `${condition.direction === 'either' ? '±' : sign} ${condition.limit ?? '?'}${condition.relative ? ' %' : ''}`
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
