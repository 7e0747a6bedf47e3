/** Names and values of Sparkplug as people type them. */

export type Kind = 'number' | 'boolean' | 'text'

export function groupAndNode(edge: string): [group: string, node: string] {
  const at = edge.indexOf('/')
  return at < 0 ? ['', edge] : [edge.slice(0, at), edge.slice(at + 1)]
}

/** The value that a text means; undefined when it means none, or another one in JavaScript. */
export function metricValue(kind: Kind, text: string): number | boolean | string | undefined {
  const trimmed = text.trim()
  if (kind === 'text') return text
  if (kind === 'boolean') return { true: true, '1': true, false: false, '0': false }[trimmed.toLowerCase()]
  const value = Number(trimmed)
  if (trimmed === '' || !Number.isFinite(value)) return undefined
  return /^[+-]?\d+$/.test(trimmed) && !Number.isSafeInteger(value) ? undefined : value
}
