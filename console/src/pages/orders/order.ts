/** What an order is, in small questions. */

import type { Order, OrderKind, Selection, Shown, Target } from '@/api/orders'
import type { SessionUser } from '@/api/types'

export const ORDER_STATES = ['drafted', 'approved', 'issued', 'closed', 'discarded'] as const
export const PRIORITIES = ['routine', 'urgent', 'immediate', 'flash'] as const

/** A title in the language, or in any, or the name. */
export function titleOf(titles: Record<string, string> | string | undefined, language: string, name: string): string {
  if (typeof titles === 'string') return titles || name
  return titles?.[language] ?? Object.values(titles ?? {})[0] ?? name
}

/** Whether it waits here for an operator's yes or no. */
export function waitsHere(order: Order, kind: OrderKind | undefined): boolean {
  return order.here?.state === 'delivered' && !order.revoked && kind?.accept !== 'automatic'
}

export function mayIssue(order: Order): boolean {
  return order.own && (order.state === 'approved' || (order.state === 'drafted' && order.approvals.length >= order.approvals_needed))
}

/** Authors are persons of this node: users by id, or by name. */
export function isAuthor(order: Order, user: Pick<SessionUser, 'id' | 'name'> | null): boolean {
  return user !== null && order.authors.some((person) => person === user.name || person === String(user.id))
}

export function hasApproved(order: Order, user: Pick<SessionUser, 'id' | 'name'> | null): boolean {
  return user !== null && order.approvals.some(({ person }) => person === user.name || person === String(user.id))
}

/** A digest in groups of four, so that two people can compare it. */
export function grouped(digest: string): string {
  return digest.match(/.{1,4}/g)?.join(' ') ?? ''
}

export interface Criterion {
  name: 'subtree' | 'tiers' | 'regions' | 'industries' | 'sizes' | 'nodes'
  values: string[]
}

/** A selection as criteria; none at all means every node below. */
export function criteriaOf(selection: Selection): Criterion[] {
  const source: Record<string, string[] | undefined> = 'nodes' in selection ? { nodes: selection.nodes } : { ...selection.query }
  const names = ['subtree', 'tiers', 'regions', 'industries', 'sizes', 'nodes'] as const
  return names.flatMap((name) => (source[name]?.length ? [{ name, values: source[name] }] : []))
}

/** What the target itself says, apart from what a probe saw of it; null where only both together are known. */
export function claimOf(target: Pick<Target, 'state' | 'said' | 'verdict'>): Shown | null {
  if (target.said) return target.said
  if (!target.verdict) return target.state
  if (target.state === 'verified') return 'executed'
  if (target.state === 'rolled_back_verified') return 'rolled_back'
  return target.state === 'contradicted' || target.state === 'unverifiable' ? null : target.state
}
