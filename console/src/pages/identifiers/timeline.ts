/** Events of a thing as the traceability service tells them, in the order of time, and where it is. */

export interface TimelineEvent {
  time: string
  type: string
  step: string
  place: string
  detail: string
}

export interface Recalled {
  thing: string
  depth: number
  place: string
  status: string
}

type Said = Record<string, unknown>

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const last = (uri: string): string => uri.split(/[/:#]/).filter(Boolean).pop() ?? uri
const objects = (value: unknown): Said[] => (Array.isArray(value) ? value.filter((item): item is Said => typeof item === 'object' && item !== null) : [])

export function eventsOf(answer: Said | null): TimelineEvent[] {
  return objects(answer?.events)
    .map((event) => ({
      time: text(event.time) || text(event.eventTime),
      type: text(event.type),
      step: last(text(event.bizStep)),
      place: text(event.readPoint) || text(event.bizLocation),
      detail: [text(event.action), last(text(event.disposition)), text(event.role)].filter(Boolean).join(' · '),
    }))
    .filter((event) => event.time !== '')
}

/** Place and state of the thing now; null where nothing is known. */
export function whereaboutsOf(answer: Said | null): { place: string; status: string; holder: string } | null {
  const where = answer?.whereabouts
  if (typeof where !== 'object' || where === null) return null
  const said = where as Said
  const held = objects(answer?.holders).pop()
  const found = { place: text(said.place), status: text(said.status), holder: text(held?.who) }
  return found.place || found.holder ? found : null
}

export function recalledOf(answer: Said | null): Recalled[] {
  return objects(answer?.recalled).map((one) => ({ thing: text(one.thing), depth: Number(one.depth) || 0, place: text(one.place), status: text(one.status) }))
}
