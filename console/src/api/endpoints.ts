/** Every call the console makes, by noun. */

import { http, itemsOf, search, send } from './http'
import type {
  Alarm,
  AppliedRules,
  Asset,
  AuditEntry,
  Backtest,
  Device,
  Drop,
  LatestOfSeries,
  NodeEvent,
  Overview,
  Page,
  Point,
  Quota,
  Rule,
  RuleDraft,
  SeriesAnswer,
  SeriesQuery,
  SessionUser,
  SqlAnswer,
  Tenant,
  Usage,
  User,
  UserWithPassword,
} from './types'

export interface Paging {
  search?: string
  limit?: number
  cursor?: string | null
}

const part = (id: number | string) => encodeURIComponent(String(id))

export const api = {
  session: {
    get: () => http.get<{ user: SessionUser }>('/session', { keepSession: true }),
    open: (username: string, password: string) =>
      http.post<{ user: SessionUser }>('/session', { username, password }, { keepSession: true }),
    close: () => http.delete('/session'),
    changePassword: (old: string, fresh: string) =>
      http.post<unknown>('/session:changePassword', { old, new: fresh }, { keepSession: true }),
    language: (language: string) => http.patch<unknown>('/session', { language }),
  },
  overview: () => http.get<Overview>('/overview'),
  devices: {
    list: (query: Paging & { online?: boolean }) => http.get<Page<Device>>(`/devices${search({ ...query })}`),
    get: (id: number | string) => http.get<Device>(`/devices/${part(id)}`),
    usage: (id: number) => http.get<Usage>(`/devices/${part(id)}/usage`),
    create: (body: { name: string; asset?: string; publish_filters?: string[]; subscribe_filters?: string[] }) =>
      http.post<{ device: Device; secret: string }>('/devices', body),
    change: (id: number, body: Partial<Pick<Device, 'enabled' | 'publish_filters' | 'subscribe_filters'>> & { quota?: Partial<Quota> | null }) =>
      http.patch<Device>(`/devices/${id}`, body),
    remove: (id: number) => http.delete(`/devices/${id}`),
    rotateSecret: (id: number) => http.post<{ secret: string }>(`/devices/${id}:rotateSecret`),
    send: (id: number, payload: string, topic?: string) =>
      http.post<{ delivered: boolean }>(`/devices/${id}:send`, topic ? { topic, payload } : { payload }),
  },
  assets: {
    list: (query: Paging & { parent?: number; path?: string }) => http.get<Page<Asset>>(`/assets${search({ ...query })}`),
    get: (id: number | string) => http.get<Asset>(`/assets/${part(id)}`),
    create: (body: { name?: string; path: string; type?: string; attributes?: Record<string, unknown> }) =>
      http.post<Asset>('/assets', body),
    change: (id: number, body: { type?: string; attributes?: Record<string, unknown> }) =>
      http.patch<Asset>(`/assets/${id}`, body),
    remove: (id: number) => http.delete(`/assets/${id}`),
  },
  points: {
    list: (query: Paging & { asset?: number; subtree?: boolean }) => http.get<Page<Point>>(`/points${search({ ...query })}`),
    change: (series: number, body: { unit?: string; description?: string }) => http.patch<Point>(`/points/${series}`, body),
  },
  series: {
    query: (body: SeriesQuery, signal?: AbortSignal) =>
      http.post<SeriesAnswer>('/series:query?times_format=ms', body, signal ? { signal } : {}),
    latest: (series: number[]) => http.post<{ items: LatestOfSeries[] }>('/series:latest', { series }),
  },
  sql: (query: string) => http.post<SqlAnswer>('/sql', { query }),
  rules: {
    list: (query: Paging = {}) => http.get<Page<Rule>>(`/rules${search({ ...query })}`),
    create: (body: RuleDraft) => http.post<Rule>('/rules', body),
    replace: (id: number | string, body: RuleDraft) => http.put<Rule>(`/rules/${part(id)}`, body),
    remove: (id: number | string) => http.delete(`/rules/${part(id)}`),
    yaml: (id?: number | string) => send('GET', id === undefined ? '/rules:export' : `/rules/${part(id)}/yaml`, undefined, { accept: '*/*' }).then((answer) => answer.text()),
    apply: (text: string, dryRun: boolean) =>
      send('POST', `/rules:apply${search({ dry_run: dryRun || undefined })}`, undefined, { raw: new Blob([text]), type: 'application/yaml' }).then((answer) => answer.json() as Promise<AppliedRules>),
    backtest: (rule: RuleDraft, from: string, to: string) => http.post<Backtest>('/rules:backtest', { rule, from, to }),
    backtestOf: (id: string) => http.get<Backtest>(`/backtests/${part(id)}`),
    cancelBacktest: (id: string) => http.delete(`/backtests/${part(id)}`),
  },
  alarms: {
    list: (query: Paging & { state?: string; priority?: string; asset?: string }) =>
      http.get<Page<Alarm>>(`/alarms${search({ ...query })}`),
    get: (id: string) => http.get<Alarm>(`/alarms/${part(id)}`),
    acknowledge: (id: string, comment: string) => http.post<Alarm>(`/alarms/${part(id)}:acknowledge`, { comment }),
    clear: (id: string, comment: string) => http.post<Alarm>(`/alarms/${part(id)}:clear`, { comment }),
  },
  events: (query: { asset?: string; from?: string; to?: string; limit?: number }) =>
    http.get<NodeEvent[] | Page<NodeEvent>>(`/events${search({ ...query })}`).then(itemsOf),
  users: {
    list: (query: Paging = {}) => http.get<Page<User>>(`/users${search({ ...query })}`),
    create: (body: { name: string; role: string; tenant_id?: number }) => http.post<UserWithPassword>('/users', body),
    change: (id: number, body: { role?: string; enabled?: boolean; reset_password?: boolean }) =>
      http.patch<UserWithPassword>(`/users/${id}`, body),
    remove: (id: number) => http.delete(`/users/${id}`),
  },
  tenants: {
    list: () => http.get<Tenant[] | Page<Tenant>>('/tenants').then(itemsOf),
    create: (name: string) => http.post<Tenant>('/tenants', { name }),
  },
  drops: (query: { device?: number; kind?: string; limit?: number } = {}) =>
    http.get<Drop[] | Page<Drop>>(`/drops${search({ ...query })}`).then(itemsOf),
  audit: (query: Paging = {}) => http.get<Page<AuditEntry>>(`/audit${search({ ...query })}`),
}
