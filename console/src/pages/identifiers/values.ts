/** The data of a handle value as a text. */

import type { HandleValue } from '@/api/identifiers'

export function valueText(value: HandleValue): string {
  const { value: data } = value.data
  return typeof data === 'string' ? data : JSON.stringify(data)
}

const SAFE = /^https?:\/\//i

/** An address that may be a link; others (javascript:, data:) are shown as text. */
export function safeLink(text: string): string | null {
  return SAFE.test(text) ? text : null
}
