/** Reports: kinds, cells, publications and signed records (docs/tree.md). Times are RFC 3339 text in UTC. */

import { http, itemsOf, search } from './http'
import type { Page } from './types'

export type MeasureForm = 'count' | 'sum' | 'min' | 'max' | 'distinct' | 'quantiles' | 'top'

export interface Measure {
  name: string
  form: MeasureForm
  unit?: string
  decimals?: number
}

export interface CellsDocument {
  name: string
  version: number
  /** Seconds; 0 is a snapshot. */
  period?: number
  keys?: string[]
  measures: Measure[]
  least_contributors?: number
}

export interface RecordDocument {
  name: string
  version: number
  up_to?: string
  title?: string
}

interface KnownBase {
  state: 'known'
  name: string
  version: number
  declared_by: string
  inherited: boolean
  leaves: boolean
}
export type CellsKind = KnownBase & { form: 'cells'; cells: CellsDocument }
export type RecordKind = KnownBase & { form: 'record'; record: RecordDocument }
/** A kind that only a child speaks of. */
export interface UnknownKind {
  state: 'unknown'
  name: string
  child: string
  statements: number
  last_at: string
}
export type ReportKind = CellsKind | RecordKind | UnknownKind

/** A number; of a distinct count value and bounds, of quantiles by rank, of top the items. */
export type Figure = number | Record<string, number> | { item: string; low: number; high: number }[] | null

export interface Cell {
  keys: Record<string, string>
  measures: Record<string, Figure>
  nodes: number
  silent: number
  as_of: string | null
}

export interface Report {
  kind: string
  version: number
  period: string | null
  periods: string[]
  node: string
  by: string[]
  items: Cell[]
  coverage: { known: number; reported: number; silent: string[]; never: string[] }
  as_of: string | null
}

export type Suppression = '' | 'primary' | 'complementary' | 'frozen'

/** A table as it may be shown; margins are the last row and column. */
export interface Publication {
  kind: string
  period: string | null
  published_at: string
  measure: string
  unit: string
  row_key: string
  column_key: string | null
  rows: string[]
  columns: string[]
  values: (number | null)[][]
  why: Suppression[][]
  least_contributors: number
}

export interface SignedRecord {
  id: string
  kind: string
  node: string
  sequence: number
  at: string
  received_at: string
  body: unknown
}

const path = (kind: string) => `/reports/${encodeURIComponent(kind)}`

export const reports = {
  kinds: () => http.get<ReportKind[] | Page<ReportKind>>('/report-kinds').then(itemsOf),
  declare: (body: { cells: unknown } | { record: unknown }) => http.post<unknown>('/report-kinds', body),
  show: (kind: string, query: { period?: string; node?: string; by?: string }) => http.get<Report>(`${path(kind)}${search({ ...query })}`),
  publication: (kind: string, query: { measure: string; row: string; column?: string; period?: string }) =>
    http.get<Publication>(`${path(kind)}/publication${search({ ...query })}`),
  records: (query: { kind?: string; node?: string; limit?: number; cursor?: string | null }) => http.get<Page<SignedRecord>>(`/records${search({ ...query })}`),
  addRecord: (body: { kind: string; body: unknown }) => http.post<SignedRecord>('/records', body),
}
