/** Pure: amounts and plans in words; the sections of GB/T 4754. */

import type { Plan } from '@/api/store'

export const SECTIONS = 'ABCDEFGHIJKLMNOPQRST'.split('')
export const KINDS = ['write', 'alarms', 'history', 'models', 'orders', 'probes', 'reports', 'records', 'objects', 'routes', 'events'] as const

export function amount(hundredths: number, currency: string, locale: string): string {
  return new Intl.NumberFormat(locale, { style: 'currency', currency }).format(hundredths / 100)
}

export function planText(plan: Plan, locale: string, t: (key: string, words?: Record<string, unknown>) => string): string {
  const price = amount(plan.amount, plan.currency, locale)
  return t(`store.plan_${plan.kind.replaceAll('-', '_')}`, { price, included: plan.included })
}

export function stars(rating: number | null): string {
  return rating === null ? '–' : rating.toFixed(1)
}

/** `YYYY-MM` of a time, in UTC. */
export function monthOf(time: Date): string {
  return time.toISOString().slice(0, 7)
}
