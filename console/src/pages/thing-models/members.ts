/** What a thing model says, as rows of tables. */

import type { Field, Policy, Property, ThingModel, Titles } from '@/api/thingModels'

export interface PropertyRow extends Property {
  name: string
  title: string
  inherited: boolean
  policy: Policy
}

export function titleOf(titles: Titles | undefined, language: 'zh' | 'en'): string {
  return titles?.[language] || titles?.[language === 'zh' ? 'en' : 'zh'] || ''
}

/** All properties, those that only an extended model states marked. */
export function propertyRows(own: ThingModel, resolved: ThingModel, language: 'zh' | 'en'): PropertyRow[] {
  return Object.entries(resolved.properties ?? {}).map(([name, property]) => ({
    ...property,
    name,
    title: titleOf(property.titles, language),
    inherited: !(name in (own.properties ?? {})),
    policy: property.on_violation ?? resolved.validation?.range ?? 'reject',
  }))
}

/** Bounds, choices or length, as far as there are any. */
export function rangeOf(property: Property): string {
  const { minimum, maximum, max_length: length, choices } = property
  const low = minimum ?? null
  const high = maximum ?? null
  const parts: string[] = []
  if (low !== null && high !== null) parts.push(`${low} … ${high}`)
  else if (low !== null) parts.push(`≥ ${low}`)
  else if (high !== null) parts.push(`≤ ${high}`)
  if (choices?.length) parts.push(choices.join(' | '))
  if (typeof length === 'number') parts.push(`≤ ${length} ×`)
  return parts.join('; ')
}

/** `speed: double /min, ok: boolean` */
export function fieldsText(fields: Record<string, Field> | undefined): string {
  return Object.entries(fields ?? {})
    .map(([name, field]) => `${name}: ${field.data_type}${field.unit ? ` ${field.unit}` : ''}`)
    .join(', ')
}

/** Where a model has an int64 that JavaScript would round; null when it has none. Such a model must not pass through a browser. */
export function inexactPlace(model: ThingModel): string | null {
  const bad = (value: unknown) => typeof value === 'number' && !Number.isSafeInteger(value)
  const check = (where: string, field: Property) =>
    field.data_type === 'int64' && (bad(field.minimum) || bad(field.maximum) || (field.choices ?? []).some(bad)) ? where : null
  const groups: [string, Record<string, Field>][] = [['properties', model.properties ?? {}]]
  for (const [name, event] of Object.entries(model.events ?? {})) groups.push([`events.${name}`, event.fields ?? {}])
  for (const [name, service] of Object.entries(model.services ?? {})) groups.push([`services.${name}`, service.input ?? {}], [`services.${name}`, service.output ?? {}])
  for (const [group, fields] of groups) {
    for (const [name, field] of Object.entries(fields)) {
      const found = check(`${group}.${name}`, field)
      if (found) return found
    }
  }
  return null
}

/** A value of a difference in one line. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return '–'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

const ENDINGS = { json: 'json', wot: 'tm.jsonld', aas: 'aas.json', nodeset: 'NodeSet2.xml', csv: 'csv' } as const

export function fileName(reference: string, format: keyof typeof ENDINGS): string {
  return `${reference.replace(/[\\/:*?"<>|]/g, '_')}.${ENDINGS[format]}`
}
