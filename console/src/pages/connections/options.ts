/** Options of a driver between its schema, a form of texts, and the request. */

import type { Manifest, OptionSchema } from '@/api/connections'

export type OptionKind = 'choice' | 'switch' | 'number' | 'text' | 'secret' | 'document'

export interface OptionField {
  name: string
  kind: OptionKind
  schema: OptionSchema
  required: boolean
}

function kindOf(schema: OptionSchema): OptionKind {
  if (schema.enum) return 'choice'
  if (schema.writeOnly) return 'secret'
  if (schema.type === 'boolean') return 'switch'
  if (schema.type === 'integer' || schema.type === 'number') return 'number'
  return schema.type === 'array' || schema.type === 'object' ? 'document' : 'text'
}

/** The fields of a driver, in the order of its manifest. */
export function fieldsOf(manifest: Manifest | undefined): OptionField[] {
  const required = new Set(manifest?.options_schema.required ?? [])
  return Object.entries(manifest?.options_schema.properties ?? {}).map(([name, schema]) => ({ name, kind: kindOf(schema), schema, required: required.has(name) }))
}

/** The request's options: what is empty is left to the driver. Returns the name of the field that cannot be read instead. */
export function optionsOf(fields: readonly OptionField[], texts: Readonly<Record<string, string>>): Record<string, unknown> | string {
  const options: Record<string, unknown> = {}
  for (const { name, kind } of fields) {
    const text = kind === 'secret' ? (texts[name] ?? '') : (texts[name] ?? '').trim()
    if (text === '') continue
    if (kind === 'switch') options[name] = text === 'true'
    else if (kind === 'number') {
      const value = Number(text)
      if (!Number.isFinite(value)) return name
      options[name] = value
    } else if (kind === 'document') {
      try {
        options[name] = JSON.parse(text) as unknown
      } catch {
        return name
      }
    } else options[name] = text
  }
  return options
}

/** The driver that a URL's scheme names, or none. */
export function driverOf(url: string, drivers: readonly Manifest[]): Manifest | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url.trim())?.[1]?.toLowerCase()
  return scheme === undefined ? undefined : drivers.find((driver) => driver.schemes.includes(scheme))
}
