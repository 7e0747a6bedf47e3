/** Calls across platforms: offers, contracts, usage. */

import { http, search } from './http'
import type { Page } from './types'

export interface Terms {
  offer: string
  provider: string
  provider_name: string
  kind: 'model' | 'route'
  target: string
  version: string
  method: string
  path: string
  title: Record<string, string>
  text: string
  inputs: { name: string; unit: string; description: string }[]
  outputs: { name: string; unit: string; description: string }[]
  to: string[]
  quota: number
  period_s: number
  price: number
  currency: string
  timeout_s: number
  until: string
}

export interface Offer {
  terms: Terms
  digest: string
  state: 'standing' | 'expired' | 'revoked'
  reason: string
  made_by: string
  made_at: string
  contracts: number
}

export interface Contract {
  id: string
  side: 'provider' | 'consumer'
  state: string
  reason: string
  peer: string
  peer_name: string
  url: string
  terms: Terms
  digest: string
  made_by: string
  made_at: string
  changed_at: string
  used: number
  period_ends: string
}

export interface CallUsage {
  id: string
  key: string
  at: string
  state: string
  status: number
  charged: boolean
  rows: number
  milliseconds: number
}

export interface Sums {
  calls: number
  charged: number
  amount: number
}

export interface Reconciliation {
  since: string
  until: string
  here: Sums
  there: Sums
  differences: { id: string; here: string; there: string }[]
}

export interface NewOffer {
  kind: 'model' | 'route'
  target: string
  method?: string
  path?: string
  text: string
  to: string[]
  quota: number
  period_s: number
  price: number
  until: string
}

const contract = (id: string) => `/calls/contracts/${encodeURIComponent(id)}`

export const calls = {
  offers: (cursor: string | null) => http.get<Page<Offer>>(`/calls/offers${search({ limit: 50, cursor })}`),
  offer: (body: NewOffer) => http.post<Offer>('/calls/offers', body),
  revoke: (id: string, reason: string) => http.post<Offer>(`/calls/offers/${encodeURIComponent(id)}:revoke`, { reason }),
  look: (url: string) => http.post<{ node: string; name: string; offers: Terms[] }>('/calls:look', { url }),
  contracts: (cursor: string | null) => http.get<Page<Contract>>(`/calls/contracts${search({ limit: 50, cursor })}`),
  contract: (id: string) => http.get<Contract>(contract(id)),
  propose: (url: string, offer: string, provider: string) => http.post<Contract>('/calls/contracts', { url, offer, provider }),
  accept: (id: string) => http.post<Contract>(`${contract(id)}:accept`),
  refresh: (id: string) => http.post<Contract>(`${contract(id)}:refresh`),
  end: (id: string, reason: string) => http.post<Contract>(`${contract(id)}:end`, { reason }),
  usage: (id: string, cursor: string | null) => http.get<Page<CallUsage>>(`${contract(id)}/usage${search({ limit: 50, cursor })}`),
  reconcile: (id: string) => http.post<Reconciliation>(`${contract(id)}:reconcile`),
}
