/** Labels of a time axis in the browser's zone; the date appears where it changes. Pure. */

const PAD = (value: number, size = 2) => String(value).padStart(size, '0')
const DAY = 86_400_000

function clock(date: Date, step: number): string {
  const minutes = `${PAD(date.getHours())}:${PAD(date.getMinutes())}`
  if (step >= 60_000) return minutes
  const seconds = `${minutes}:${PAD(date.getSeconds())}`
  return step >= 1000 ? seconds : `${seconds}.${PAD(date.getMilliseconds(), 3)}`
}

function day(date: Date): string {
  return `${date.getFullYear()}-${PAD(date.getMonth() + 1)}-${PAD(date.getDate())}`
}

/** `splits` in ms since 1970, `step` their distance in ms. A second line holds the date where it is new. */
export function timeLabels(splits: readonly number[], step: number): string[] {
  let shown = ''
  return splits.map((split) => {
    const date = new Date(split)
    const today = day(date)
    if (step >= DAY) return today
    const label = clock(date, step)
    if (today === shown) return label
    shown = today
    return `${label}\n${today}`
  })
}
