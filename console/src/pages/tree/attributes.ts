import type { NodeAttributes } from '@/api/tree'

/** The attributes that say something; nothing at all when none does. */
export function attributesOf(form: Required<NodeAttributes>): { attributes?: NodeAttributes } {
  const said = Object.entries(form)
    .map(([name, value]) => [name, value.trim()] as const)
    .filter(([, value]) => value)
  return said.length ? { attributes: Object.fromEntries(said) } : {}
}
