/** The value that a typed text means for a point of a type; undefined when it means none. */
export function writeValue(type: string, text: string): unknown {
  const trimmed = text.trim()
  if (type === 'string') return text
  if (type === 'boolean') return { true: true, '1': true, false: false, '0': false }[trimmed.toLowerCase()]
  if (type === 'json') {
    try {
      return JSON.parse(trimmed) as unknown
    } catch {
      return undefined
    }
  }
  const value = Number(trimmed)
  if (trimmed === '' || !Number.isFinite(value)) return undefined
  // A number beyond 2^53 would arrive as another one.
  return type === 'int64' && !Number.isSafeInteger(value) ? undefined : value
}
