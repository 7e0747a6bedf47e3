/** Times: absolute ones carry their zone, relative ones are always beside an absolute one. */

const PAD = (value: number, size = 2) => String(value).padStart(size, '0')

/** Return `+08:00` for the zone of the browser at that time. */
export function zoneOffset(date: Date): string {
  const minutes = -date.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${PAD(Math.floor(size / 60))}:${PAD(size % 60)}`
}

export function zoneName(date: Date): string {
  return `UTC${zoneOffset(date)}`
}

/** `2026-11-22 18:04:05.123 UTC+08:00`, in the browser's zone; milliseconds only when there are any. */
export function formatAbsolute(time: string | number, zone = true): string {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return '–'
  const day = `${date.getFullYear()}-${PAD(date.getMonth() + 1)}-${PAD(date.getDate())}`
  const milliseconds = date.getMilliseconds()
  const clock = formatClock(date) + (milliseconds ? `.${PAD(milliseconds, 3)}` : '')
  return `${day} ${clock}${zone ? ` ${zoneName(date)}` : ''}`
}

/** `18:04:05` in the browser's zone. */
export function formatClock(time: Date | string | number): string {
  const date = time instanceof Date ? time : new Date(time)
  return `${PAD(date.getHours())}:${PAD(date.getMinutes())}:${PAD(date.getSeconds())}`
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
]

const FAR_S = 30 * 86_400

/** `3 minutes ago`; the largest unit that fits. Beyond a month the day itself says more. */
export function formatRelative(time: string | number, now: number, locale: string): string {
  const at = new Date(time).getTime()
  if (Number.isNaN(at)) return '–'
  let seconds = Math.round((at - now) / 1000)
  // The clock of the page ticks by the second: what is just here is not in the future.
  if (seconds === 1) seconds = 0
  if (Math.abs(seconds) >= FAR_S) return formatAbsolute(time, false).slice(0, 10)
  const [unit, size] = STEPS.find(([, length]) => Math.abs(seconds) >= length) ?? STEPS[3]!
  return new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(Math.trunc(seconds / size), unit)
}

/** `1:02:03` or `2 d 3:04:05`: how long something has lasted. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const days = Math.floor(seconds / 86_400)
  const clock = `${Math.floor((seconds % 86_400) / 3600)}:${PAD(Math.floor((seconds % 3600) / 60))}:${PAD(seconds % 60)}`
  return days ? `${days} d ${clock}` : clock
}

/** Value for `<input type="datetime-local">` with seconds, in the browser's zone. */
export function toLocalInput(time: number): string {
  const date = new Date(time)
  return `${date.getFullYear()}-${PAD(date.getMonth() + 1)}-${PAD(date.getDate())}T${formatClock(date)}`
}

/** Milliseconds of such a value, or NaN. */
export function fromLocalInput(text: string): number {
  return new Date(text).getTime()
}
