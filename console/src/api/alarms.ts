/** Alarm management: suppression, master alarm database, key figures, notifications (docs/alarms.md, docs/notifications.md). */

import { http, search } from './http'
import type { Alarm, Page, Priority } from './types'

export interface Suppression {
  id: number
  kind: 'shelved' | 'suppressed_by_design' | 'out_of_service'
  rule_id: number
  asset: string
  point: string
  reason: string
  work_order: string
  created_at: string
  created_by: string
  until: string | null
  ended_at: string | null
  ended_by: string
}

export interface Pattern {
  rule_id?: number
  asset?: string
  point?: string
}

export type Cause =
  | { kind: 'point'; asset: string; point: string; operator: string; value: number }
  | { kind: 'alarm'; rule_id: number; asset?: string; point?: string }
  | { kind: 'first_out' }

export interface Design {
  name: string
  cause: Cause
  suppresses: Pattern[]
  scope: 'same' | 'below' | 'beside' | 'any'
  hold_s: number
  reason: string
  enabled: boolean
}

export interface Operation {
  id: number
  time: string
  operation: string
  resource: string
  by: string
  detail: string
}

export interface Rationalisation {
  rule_id: number
  source: string
  asset: string
  point: string
  cause: string
  consequence: string
  action: string
  respond_s: number
  alarm_class: string
  justification: string
  owner: string
  review_date: string
  latching: boolean
  realarm_s: number
}

export interface RationalisationItem {
  id: number
  rule_name: string
  overdue: boolean
  record: Rationalisation
}

export interface MissingRationalisation {
  rule_id: number
  rule_name: string
  source: string
  asset: string
  point: string
  priority: Priority
}

export interface PositionFigures {
  position: string
  annunciations: number
  average: number
  peak: number
  percent_periods_over_10: number
  percent_in_flood: number
}

export interface Offender {
  rule_id: number
  rule_name: string
  series: number
  asset_path: string
  point: string
  count: number
  percent: number
}

export interface Kpi {
  time_from: string
  time_to: string
  total: PositionFigures
  positions: PositionFigures[]
  rate_from: string
  rate: number[]
  priorities: Record<Priority, number>
  top: Offender[]
  top_percent: number
  chattering: Offender[]
  chattering_alarms: number
  fleeting: number
  fleeting_percent: number
  stale: { id: string; rule_name: string; asset_path: string; point: string; priority: Priority; raised_at: string }[]
  stale_alarms: number
  acknowledge: { count: number; average_s: number; median_s: number; p95_s: number }
  suppressed: Record<string, number>
  floods: { position: string; began_at: string; ended_at: string | null; alarms: number; peak: number; collapsed: number }[]
}

export type ChannelSettings =
  | { kind: 'email'; host: string; port: number; sender: string; security: string; user: string }
  | { kind: 'webhook'; url: string }
  | { kind: 'sms'; url: string; number_member: string; text_member: string }

export interface Channel {
  id: number
  has_secret: boolean
  channel: { name: string; settings: ChannelSettings; link_base: string; enabled: boolean }
}

export interface Stage {
  channel_id: number
  recipients: string[]
  after_s: number
}

/** Days from 0, Monday; hours as hh:mm by the time zone, over midnight where `end` is before `begin`, all day where they are the same. */
export interface Calendar {
  days: number[]
  begin: string
  end: string
  timezone: string
}

export interface NotifyRoute {
  name: string
  stages: Stage[]
  priorities: Priority[]
  assets: string[]
  positions: string[]
  calendar: Calendar | null
  digest: boolean
  digest_critical: boolean
  enabled: boolean
}

export interface Receipt {
  id: string
  alarm_id: string
  channel_id: number
  recipient: string
  state: string
  subject: string
  step: number
  attempts: number
  created_at: string
  sent_at: string | null
  error: string
}

interface Items<T> {
  items: T[]
}

const items = <T>(answer: Items<T>): T[] => answer.items

export const alarmApi = {
  reset: (id: string, comment: string) => http.post<Alarm>(`/alarms/${encodeURIComponent(id)}:reset`, { comment }),
  shelve: (body: Pattern & { reason: string; seconds: number }) => http.post<Suppression>('/alarms:shelve', body),
  outOfService: (body: Pattern & { reason: string; work_order: string }) => http.post<Suppression>('/alarms:out-of-service', body),
  suppressions: (ended: boolean) => http.get<Items<Suppression>>(`/alarm-suppressions${search({ ended: ended ? 'true' : '' })}`).then(items),
  endSuppression: (id: number, comment: string) => http.post<Suppression>(`/alarm-suppressions/${id}:end`, { comment }),
  operations: () => http.get<Page<Operation>>('/alarm-operations?limit=50').then(items),
  designs: () => http.get<Items<{ id: number; design: Design }>>('/alarm-designs').then(items),
  putDesign: (id: number, body: Design) => (id ? http.put<unknown>(`/alarm-designs/${id}`, body) : http.post<unknown>('/alarm-designs', body)),
  removeDesign: (id: number) => http.delete(`/alarm-designs/${id}`),
  rationalisations: () => http.get<Items<RationalisationItem>>('/alarm-rationalisations').then(items),
  missing: () => http.get<Items<MissingRationalisation>>('/alarm-rationalisations:missing').then(items),
  reason: (query: { rule: string; asset: string; point: string; source: string }) =>
    http.get<{ record: Rationalisation | null }>(`/alarm-rationalisations:of${search(query)}`),
  rationalise: (body: Rationalisation) => http.put<unknown>('/alarm-rationalisations', body),
  kpi: (query: { from?: string; to?: string; position?: string }) => http.get<Kpi>(`/alarms:kpi${search(query)}`),
  positions: () => http.get<Items<{ position: string; asset: string }>>('/alarm-positions').then(items),
  putPositions: (positions: { position: string; asset: string }[]) => http.put<unknown>('/alarm-positions', { items: positions }),
  channels: () => http.get<Items<Channel>>('/notification-channels').then(items),
  putChannel: (id: number, body: Channel['channel'] & { secret?: string }) =>
    id ? http.put<Channel>(`/notification-channels/${id}`, body) : http.post<Channel>('/notification-channels', body),
  removeChannel: (id: number) => http.delete(`/notification-channels/${id}`),
  testChannel: (id: number, recipient: string) => http.post<Receipt>(`/notification-channels/${id}:test`, { recipient }),
  routes: () => http.get<Items<{ id: number; route: NotifyRoute }>>('/notification-routes').then(items),
  putRoute: (id: number, body: NotifyRoute) => (id ? http.put<unknown>(`/notification-routes/${id}`, body) : http.post<unknown>('/notification-routes', body)),
  removeRoute: (id: number) => http.delete(`/notification-routes/${id}`),
  receipts: () => http.get<Page<Receipt>>('/notifications?limit=50').then(items),
  outbox: () => http.get<{ states: Record<string, number>; overflowed: number }>('/notifications:state'),
}
