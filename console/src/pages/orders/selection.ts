/** The target picker's fields, and the selection that they make. */

import type { Query, Selection } from '@/api/orders'
import { listOf, queryOf } from './order'

export interface Picked {
  mode: 'query' | 'nodes'
  nodes: string[]
  subtree: string[]
  tiers: string
  regions: string
  industries: string
  sizes: string
}

export function emptyPick(): Picked {
  return { mode: 'query', nodes: [], subtree: [], tiers: '', regions: '', industries: '', sizes: '' }
}

/** Words between commas (of either kind), semicolons or line ends; each once. */
export function wordsOf(text: string): string[] {
  return [...new Set(text.split(/[,，、;；\n]+/).map((word) => word.trim()).filter(Boolean))]
}

const TEXTS = ['tiers', 'regions', 'industries', 'sizes'] as const

export function selectionOf(picked: Picked): Selection {
  if (picked.mode === 'nodes') return { nodes: [...picked.nodes] }
  const query: Query = {}
  if (picked.subtree.length) query.subtree = [...picked.subtree]
  for (const name of TEXTS) {
    const words = wordsOf(picked[name])
    if (words.length) query[name] = name === 'industries' ? words.map((word) => word.toUpperCase()) : words
  }
  return { query }
}

export function pickOf(selection: Selection): Picked {
  const list = listOf(selection)
  if (list) return { ...emptyPick(), mode: 'nodes', nodes: [...list] }
  const query = queryOf(selection)
  const text = (words: string[] | undefined) => (words ?? []).join(', ')
  return { ...emptyPick(), subtree: typeof query.subtree === 'string' ? [query.subtree] : [...(query.subtree ?? [])], tiers: text(query.tiers), regions: text(query.regions), industries: text(query.industries), sizes: text(query.sizes) }
}

/** What is wrong, as a key of the words; null when it can be asked. */
export function pickFault(picked: Picked): 'pick_nobody' | 'pick_region' | 'pick_industry' | null {
  if (picked.mode === 'nodes') return picked.nodes.length ? null : 'pick_nobody'
  if (!wordsOf(picked.regions).every((word) => /^(\d{2}|\d{4}|\d{6}|\d{9}|\d{12})$/.test(word))) return 'pick_region'
  if (!wordsOf(picked.industries).every((word) => /^[A-Ta-t](\d{2,4})?$/.test(word))) return 'pick_industry'
  return null
}

/** Whether it means every node below: more often a slip than an intent. */
export function meansAll(picked: Picked): boolean {
  return picked.mode === 'query' && picked.subtree.length === 0 && TEXTS.every((name) => wordsOf(picked[name]).length === 0)
}
