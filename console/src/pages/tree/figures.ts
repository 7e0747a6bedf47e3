/** Figures of a subtree. Nothing heard is no figure at all, never zero. */

import type { LiveFigures, TreeNode } from '@/api/tree'

export const FIGURES = ['devices', 'online', 'points_per_second', 'alarms', 'apps', 'identifiers'] as const
export type FigureName = (typeof FIGURES)[number]

/** Whether anybody in the subtree has ever said anything that is in the figures. */
export function heard(live: LiveFigures | null | undefined): live is LiveFigures {
  return !!live && live.reported + live.silent > 0
}

/** The figure, or null where nobody has reported any. */
export function figureOf(live: LiveFigures | null | undefined, name: FigureName): number | null {
  return heard(live) ? (live[name] ?? null) : null
}

/** Whether the figures of all nodes that there are are in it, and fresh. */
export function complete(live: LiveFigures | null | undefined): boolean {
  return heard(live) && live.reported >= live.known
}

export const STALE_FIGURES_MS = 120_000

/** Figures that nobody has renewed for a while, or of a node that is silent: of before, not of now. */
export function old(node: Pick<TreeNode, 'live' | 'health'>, now: number): boolean {
  const { live } = node
  if (!heard(live)) return false
  return node.health === 'silent' || live.reported === 0 || (live.as_of !== null && now - Date.parse(live.as_of) > STALE_FIGURES_MS)
}

/** Add up the figures of nodes that are not below each other; null where none of them has one. */
export function totalOf(nodes: readonly TreeNode[], name: FigureName): number | null {
  const known = nodes.map((node) => figureOf(node.live, name)).filter((value): value is number => value !== null)
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null
}

export type SortKey = 'name' | 'condition' | FigureName | 'heard_at' | 'lag' | 'version' | 'children' | 'prefix'

function valueOf(node: TreeNode, key: SortKey): number | string | null {
  if (key === 'name' || key === 'version' || key === 'prefix') return node[key]
  if (key === 'condition') return ['silent', 'degraded', 'unknown', 'ok'].indexOf(node.health) + (node.state === 'active' ? 0 : 10)
  if (key === 'heard_at') return node.heard_at === null ? null : Date.parse(node.heard_at)
  if (key === 'lag') return node.link?.lag_seconds ?? null
  if (key === 'children') return node.children
  return figureOf(node.live, key)
}

/** Sorted copy; what is not known comes last in both directions. */
export function sorted(nodes: readonly TreeNode[], key: SortKey, descending: boolean, locale: string): TreeNode[] {
  const text = new Intl.Collator(locale, { numeric: true })
  const sign = descending ? -1 : 1
  return [...nodes].sort((a, b) => {
    const left = valueOf(a, key)
    const right = valueOf(b, key)
    if (left === null || right === null) return Number(left === null) - Number(right === null) || text.compare(a.name, b.name)
    const order = typeof left === 'string' ? text.compare(left, String(right)) : left - Number(right)
    return sign * order || text.compare(a.name, b.name)
  })
}
