/** What a node is like, as one word: its state in the tree first, then how it does. */

import type { TreeNode } from '@/api/tree'

export type Condition = 'retired' | 'suspended' | 'silent' | 'degraded' | 'unknown' | 'ok'
export type Mark = 'on' | 'off' | 'disabled' | 'fail' | 'warn'

/** The gravest first. */
export const CONDITIONS: readonly Condition[] = ['silent', 'degraded', 'unknown', 'suspended', 'ok', 'retired']

export function conditionOf(node: Pick<TreeNode, 'state' | 'health'>): Condition {
  return node.state === 'active' ? node.health : node.state
}

export const MARKS: Record<Condition, Mark> = {
  retired: 'disabled',
  suspended: 'disabled',
  silent: 'fail',
  degraded: 'warn',
  unknown: 'off',
  ok: 'on',
}

export function gravest(conditions: readonly Condition[]): Condition {
  return CONDITIONS.find((condition) => conditions.includes(condition)) ?? 'unknown'
}
