/** Attributes of a template as a form has them: all fields are texts. */

import type { DataType, TemplateAttribute } from '@/api/identifiers'

export interface AttributeRow {
  name: string
  index: string
  type: DataType
  zh: string
  en: string
  required: boolean
  public: boolean
  pattern: string
  minimum: string
  maximum: string
  unit: string
  choices: string
  max_length: number | undefined
}

const text = (value: number | null | undefined) => (value === null || value === undefined ? '' : String(value))
const number = (value: string) => (value.trim() === '' ? null : Number(value))

export function rowOf(attribute: TemplateAttribute): AttributeRow {
  return {
    name: attribute.name,
    index: String(attribute.index),
    type: attribute.type ?? 'text',
    zh: attribute.title?.zh ?? '',
    en: attribute.title?.en ?? '',
    required: attribute.required ?? false,
    public: attribute.public ?? true,
    pattern: attribute.pattern ?? '',
    minimum: text(attribute.minimum),
    maximum: text(attribute.maximum),
    unit: attribute.unit ?? '',
    choices: (attribute.choices ?? []).join(' | '),
    max_length: attribute.max_length,
  }
}

/** Fields that do not belong to the type are left out. */
export function attributeOf(row: AttributeRow): TemplateAttribute {
  const numeric = row.type === 'integer' || row.type === 'decimal'
  const title = { ...(row.zh.trim() ? { zh: row.zh.trim() } : {}), ...(row.en.trim() ? { en: row.en.trim() } : {}) }
  return {
    name: row.name,
    index: Number(row.index),
    type: row.type,
    required: row.required,
    public: row.public,
    ...(Object.keys(title).length ? { title } : {}),
    ...(row.type === 'text' && row.pattern ? { pattern: row.pattern } : {}),
    ...(row.type === 'text' && row.max_length !== undefined ? { max_length: row.max_length } : {}),
    ...(numeric && number(row.minimum) !== null ? { minimum: number(row.minimum) } : {}),
    ...(numeric && number(row.maximum) !== null ? { maximum: number(row.maximum) } : {}),
    ...(numeric && row.unit.trim() ? { unit: row.unit.trim() } : {}),
    ...(row.type === 'choice' ? { choices: row.choices.split('|').map((one) => one.trim()).filter(Boolean) } : {}),
  }
}
