/** Forms from JSON Schema, the subset that payloads use. The node checks again; this is for the hand that fills it in. */

import type { Schema } from '@/api/orders'

export type Shape = 'object' | 'map' | 'array' | 'string' | 'integer' | 'number' | 'boolean' | 'choice' | 'json'

export interface Field {
  schema: Schema
  shape: Shape
  nullable: boolean
}

const REFERENCE = '#/$defs/'

function followed(schema: Schema, root: Schema): Schema {
  let at = schema
  for (let steps = 0; at.$ref?.startsWith(REFERENCE) && steps < 20; steps += 1) {
    const { $ref, ...beside } = at
    at = { ...root.$defs?.[$ref.slice(REFERENCE.length)], ...beside }
  }
  return at
}

function shapeOf(schema: Schema): Shape {
  if (schema.enum || schema.const !== undefined) return 'choice'
  switch (schema.type) {
    case 'object':
      if (schema.properties) return 'object'
      return typeof schema.additionalProperties === 'object' ? 'map' : 'json'
    case 'array':
      return schema.items ? 'array' : 'json'
    case 'string':
    case 'integer':
    case 'number':
    case 'boolean':
      return schema.type
    default:
      return 'json'
  }
}

/** A schema with its references followed and `null` set apart. */
export function fieldOf(schema: Schema, root: Schema): Field {
  let at = followed(schema, root)
  let nullable = false
  if (at.anyOf) {
    const { anyOf, ...words } = at
    nullable = anyOf.some((option) => option.type === 'null')
    at = { ...words, ...followed(anyOf.find((option) => option.type !== 'null') ?? {}, root) }
  }
  if (Array.isArray(at.type)) {
    nullable ||= at.type.includes('null')
    at = { ...at, type: at.type.find((name) => name !== 'null') ?? 'null' }
  }
  return { schema: at, shape: shapeOf(at), nullable }
}

/** What a field begins with: its default, or what it must have; else nothing is said. */
export function initial(schema: Schema, root: Schema, required: boolean): unknown {
  const { schema: at, shape, nullable } = fieldOf(schema, root)
  if (at.default !== undefined) return at.default
  if (at.const !== undefined) return required ? at.const : undefined
  if (nullable && required) return null
  if (!required) return undefined
  if (shape === 'object') return members(at, root)
  if (shape === 'array') return []
  if (shape === 'map') return {}
  if (shape === 'boolean') return false
  if (shape === 'choice' && at.enum?.length === 1) return at.enum[0]
  return undefined
}

function members(schema: Schema, root: Schema): Record<string, unknown> {
  const all = Object.entries(schema.properties ?? {}).map(([name, member]) => [name, initial(member, root, schema.required?.includes(name) ?? false)] as const)
  return Object.fromEntries(all.filter(([, value]) => value !== undefined))
}

export interface Fault {
  /** Place in the payload, such as `limits/0/value`. */
  path: string
  code: 'required' | 'type' | 'least' | 'most' | 'short' | 'long' | 'pattern' | 'choice'
  bound?: string
}

function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    return true // Python's patterns know more than ours; the node will say.
  }
}

function numberFault(value: unknown, schema: Schema, path: string): Fault | null {
  if (typeof value !== 'number' || !Number.isFinite(value) || (schema.type === 'integer' && !Number.isInteger(value))) return { path, code: 'type' }
  if (schema.minimum !== undefined && value < schema.minimum) return { path, code: 'least', bound: String(schema.minimum) }
  if (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum) return { path, code: 'least', bound: `> ${schema.exclusiveMinimum}` }
  if (schema.maximum !== undefined && value > schema.maximum) return { path, code: 'most', bound: String(schema.maximum) }
  if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum) return { path, code: 'most', bound: `< ${schema.exclusiveMaximum}` }
  return null
}

function lengthFault(length: number, least: number | undefined, most: number | undefined, path: string): Fault | null {
  if (least !== undefined && length < least) return { path, code: 'short', bound: String(least) }
  if (most !== undefined && length > most) return { path, code: 'long', bound: String(most) }
  return null
}

/** Everything that is wrong with a value. */
export function faultsOf(value: unknown, schema: Schema, root: Schema, path = '', required = true): Fault[] {
  const { schema: at, shape, nullable } = fieldOf(schema, root)
  if (value === undefined) return required ? [{ path, code: 'required' }] : []
  if (value === null) return nullable || at.type === 'null' ? [] : [{ path, code: 'required' }]
  const within = (name: string | number) => (path ? `${path}/${name}` : String(name))
  const some = (...faults: (Fault | null)[]) => faults.filter((fault) => fault !== null)
  switch (shape) {
    case 'choice':
      return (at.enum ?? [at.const]).includes(value as string) ? [] : [{ path, code: 'choice' }]
    case 'integer':
    case 'number':
      return some(numberFault(value, at, path))
    case 'boolean':
      return typeof value === 'boolean' ? [] : [{ path, code: 'type' }]
    case 'string':
      if (typeof value !== 'string') return [{ path, code: 'type' }]
      return some(
        lengthFault([...value].length, at.minLength, at.maxLength, path),
        at.pattern !== undefined && !matches(at.pattern, value) ? { path, code: 'pattern', bound: at.pattern } : null,
      )
    case 'array': {
      if (!Array.isArray(value)) return [{ path, code: 'type' }]
      return [
        ...some(lengthFault(value.length, at.minItems, at.maxItems, path)),
        ...value.flatMap((item, index) => faultsOf(item, at.items ?? {}, root, within(index))),
      ]
    }
    case 'object':
    case 'map': {
      if (typeof value !== 'object' || Array.isArray(value)) return [{ path, code: 'type' }]
      const held = value as Record<string, unknown>
      if (shape === 'map') return Object.entries(held).flatMap(([name, item]) => faultsOf(item, at.additionalProperties as Schema, root, within(name)))
      return Object.entries(at.properties ?? {}).flatMap(([name, member]) => faultsOf(held[name], member, root, within(name), at.required?.includes(name) ?? false))
    }
    default:
      return []
  }
}
