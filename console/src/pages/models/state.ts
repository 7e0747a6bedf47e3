/** What models and bindings look like. */
import type { Mechanism } from '@/api/models'

const STATES = ['failing', 'refused', 'waiting', 'unknown', 'running'] as const
export type State = (typeof STATES)[number] | 'unbound'

export function titleOf(model: Mechanism, language: 'zh' | 'en'): string {
  return model.title[language] || model.name
}

/** The worst state of its bindings. */
export function statusOf(model: Mechanism): State {
  return STATES.find((state) => model.bindings.some((binding) => binding.status === state)) ?? 'unbound'
}

export function markOf(state: string): 'on' | 'off' | 'disabled' | 'fail' | 'warn' {
  if (state === 'running' || state === 'done') return 'on'
  if (state === 'failing' || state === 'failed') return 'fail'
  if (state === 'refused') return 'warn'
  return state === 'cancelled' || state === 'unbound' ? 'disabled' : 'off'
}

export function countsOf(model: Mechanism): { running: number; failing: number } {
  const sum = (state: string) => model.bindings.reduce((total, binding) => total + (binding.counts[state] ?? 0), 0)
  return { running: sum('running'), failing: sum('failing') }
}

/** Numbers of a column as people type them: one a line, or separated by commas or blanks; an empty place is no number. */
export function numbersOf(text: string): (number | null)[] | null {
  const parts = text.trim().split(/[\s,;]+/)
  const values = parts.map((part) => (/^(nan|null|-)$/i.test(part) ? null : Number(part)))
  return parts.length && parts[0] !== '' && values.every((value) => value === null || Number.isFinite(value)) ? values : null
}

/** UTC RFC 3339 of what a `datetime-local` field holds. */
export function rfc3339(local: string): string {
  return local ? new Date(local).toISOString() : ''
}
