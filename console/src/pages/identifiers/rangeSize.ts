/** How many numbers `head{first..last}tail` has; null when it is no range. */

const RANGE = /^[^{}]*\{(\d{1,18})\.\.(\d{1,18})\}[^{}]*$/

export function sizeOfRange(text: string): number | null {
  const found = RANGE.exec(text)
  const [first, last] = [found?.[1], found?.[2]]
  if (!first || !last || first.length !== last.length || BigInt(first) > BigInt(last)) return null
  return Number(BigInt(last) - BigInt(first) + 1n)
}
