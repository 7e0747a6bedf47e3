/** Events of a thing as the traceability service tells them, in the order of time. */

export interface TimelineEvent {
  time: string
  type: string
  step: string
  place: string
  detail: string
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const last = (uri: string): string => uri.split(/[/:#]/).filter(Boolean).pop() ?? uri
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

export function eventsOf(answer: Record<string, unknown> | null): TimelineEvent[] {
  const items = list(answer?.items ?? answer?.events ?? answer?.timeline)
  return items
    .filter((item): item is Record<string, unknown> => typeof item === 'object' && item !== null)
    .map((item) => ({
      time: text(item.time ?? item.event_time ?? item.eventTime),
      type: text(item.type),
      step: last(text(item.biz_step ?? item.step ?? item.bizStep)),
      place: text(item.place ?? item.read_point ?? item.readPoint ?? item.biz_location ?? item.bizLocation),
      detail: [text(item.action), last(text(item.disposition)), text(item.role)].filter(Boolean).join(' · '),
    }))
    .filter((event) => event.time !== '')
}
