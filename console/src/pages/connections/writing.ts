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

/** Return an argument of a method from the text that was typed, undefined while it does not fit its type. */
export function argumentValue(argument: { type_name: string; array: boolean }, text: string): unknown {
  const typed = text.trim()
  if (argument.array) {
    try {
      const list: unknown = JSON.parse(typed)
      return Array.isArray(list) ? list : undefined
    } catch {
      return undefined
    }
  }
  if (argument.type_name === 'Boolean') return typed === 'true' || typed === '1' ? true : typed === 'false' || typed === '0' ? false : undefined
  if (/^(U?Int\d+|S?Byte|Float|Double)$/.test(argument.type_name)) {
    const number = Number(typed)
    // Beyond 2^53 a browser would round: the command line takes such integers.
    if (typed === '' || !Number.isFinite(number) || (argument.type_name.includes('Int') && !Number.isSafeInteger(number))) return undefined
    return number
  }
  return text
}
