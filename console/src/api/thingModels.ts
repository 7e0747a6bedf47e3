/** Thing models: versions of types, files of other systems, assets (docs/thing-model.md). What is as the default says is left out. */

import { http, search, send } from './http'
import type { Page } from './types'

export const FORMATS = ['json', 'wot', 'aas', 'nodeset', 'csv'] as const
export type Format = (typeof FORMATS)[number]
export type ModelState = 'draft' | 'published' | 'retired'
export type Policy = 'reject' | 'uncertain' | 'accept'

export interface Titles {
  zh?: string
  en?: string
}

interface Member {
  titles?: Titles
  description?: string
}

export interface Field {
  data_type: string
  unit?: string
  minimum?: number | null
  maximum?: number | null
  required?: boolean
  description?: string
}

export interface Property extends Field, Member {
  max_length?: number | null
  choices?: (string | number)[]
  deadband?: number
  writable?: boolean
  on_violation?: Policy | null
  semantic?: string
}

export interface ModelEvent extends Member {
  severity?: string
  fields?: Record<string, Field>
}

export interface Service extends Member {
  input?: Record<string, Field>
  output?: Record<string, Field>
  asynchronous?: boolean
}

export interface Relation extends Member {
  target?: string
  many?: boolean
}

export interface ThingModel extends Member {
  name: string
  extends?: string
  abstract?: boolean
  identifier?: string
  properties?: Record<string, Property>
  events?: Record<string, ModelEvent>
  services?: Record<string, Service>
  relations?: Record<string, Relation>
  validation?: { range?: Policy; type?: Policy; unknown?: Policy }
}

export interface ModelHead {
  reference: string
  name: string
  version: number
  state: ModelState
  digest: string
  created_by: string
  created_at: string
  published_at: string | null
}

/** The newest version of a model; `published`: number of the newest that is published. */
export interface ModelEntry extends ModelHead {
  published: number | null
  instances: number
}

/** `resolved` has also what it inherits. */
export interface ModelDocument extends ModelHead {
  model: ThingModel
  resolved: ThingModel
}

export interface Omission {
  where: string
  what: string
}

export interface Imported {
  format: Format
  models: ThingModel[]
  left_out: Omission[]
}

export interface Change {
  where: string
  change: 'added' | 'removed' | 'changed'
  breaking: boolean
  before: unknown
  after: unknown
}

export interface Difference {
  old: string
  new: string
  breaking: boolean
  changes: Change[]
}

export interface Instance {
  asset_id: number
  path: string
  type: string
  identifier: string
  points: number
  misfits: { point: string; reason: string; detail: string }[]
}

interface Paging {
  limit?: number
  cursor?: string | null
}

const one = (reference: string) => `/thing-models/${encodeURIComponent(reference)}`

/** `reference` is a name, or name@version. */
export const thingModels = {
  list: (query: Paging & { search?: string }) => http.get<Page<ModelEntry>>(`/thing-models${search({ ...query })}`),
  get: (reference: string) => http.get<ModelDocument>(one(reference)),
  versions: (name: string) => http.get<{ items: ModelHead[] }>(`${one(name)}/versions`).then((answer) => answer.items),
  create: (model: ThingModel, publish: boolean) => http.post<ModelDocument>(`/thing-models${search({ publish })}`, model),
  publish: (reference: string) => http.post<ModelDocument>(`${one(reference)}:publish`),
  retire: (reference: string) => http.post<ModelDocument>(`${one(reference)}:retire`),
  remove: (reference: string) => http.delete(one(reference)),
  difference: (old: string, fresh: string) => http.get<Difference>(`${one(fresh)}:diff${search({ from: old })}`),
  instances: (reference: string, query: Paging) => http.get<Page<Instance>>(`${one(reference)}/instances${search({ ...query })}`),
  bind: (reference: string, path: string) => http.post<{ items: Instance[] }>(`${one(reference)}/instances`, { items: [{ path }] }),
  /** Read a file; nothing is stored. Without a format the node finds it out. */
  read: async (file: Blob, format: Format | '') => {
    const response = await send('POST', `/thing-models:import${search({ format })}`, undefined, { raw: file, type: 'application/octet-stream' })
    return (await response.json()) as Imported
  },
  export: (reference: string, format: Format) =>
    http.get<{ content: string; media_type: string; left_out: Omission[] }>(`${one(reference)}:export${search({ format, wrapped: true })}`),
}
