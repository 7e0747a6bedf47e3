/** What an order is, in small questions. */

import type { Order, Query, Selection, Shown, Target } from '@/api/orders'
import type { SessionUser } from '@/api/types'

export const ORDER_STATES = ['drafted', 'approved', 'issued', 'closed', 'discarded'] as const
export const PRIORITIES = ['routine', 'urgent', 'immediate', 'flash'] as const

/** A title in the language, or in any, or the name. */
export function titleOf(titles: Record<string, string>, language: string, name: string): string {
  return titles[language] ?? Object.values(titles)[0] ?? name
}

/** Whether it waits here for an operator's yes or no. */
export function waitsHere(order: Pick<Order, 'here' | 'revoked'>): boolean {
  return order.here?.waits === true && !order.revoked
}

export function mayIssue(order: Order): boolean {
  return order.own && (order.state === 'approved' || (order.state === 'drafted' && order.approvals.length >= order.approvals_needed))
}

export function isAuthor(order: Order, user: Pick<SessionUser, 'name'> | null): boolean {
  return user !== null && order.authors.includes(user.name)
}

export function hasApproved(order: Order, user: Pick<SessionUser, 'name'> | null): boolean {
  return user !== null && order.approvals.some(({ person }) => person === user.name)
}

/** A digest in groups of four, so that two people can compare it. */
export function grouped(digest: string): string {
  return digest.match(/.{1,4}/g)?.join(' ') ?? ''
}

export interface Criterion {
  name: 'subtree' | 'tiers' | 'regions' | 'industries' | 'sizes' | 'nodes'
  values: string[]
}

/** Its list of nodes, or null where it is a query. */
export function listOf(selection: Selection): string[] | null {
  return 'nodes' in selection && selection.nodes ? selection.nodes : null
}

export function queryOf(selection: Selection): Query {
  return 'query' in selection ? selection.query : {}
}

/** A selection as criteria; none at all means every node below. */
export function criteriaOf(selection: Selection): Criterion[] {
  const list = listOf(selection)
  if (list) return [{ name: 'nodes', values: list }]
  const query = queryOf(selection)
  const names = ['subtree', 'tiers', 'regions', 'industries', 'sizes'] as const
  return names.flatMap((name) => {
    const said = query[name] ?? []
    const values = typeof said === 'string' ? [said] : said
    return values.length ? [{ name, values }] : []
  })
}

/** What the target itself says, apart from what a probe saw of it; null where only both together are known. */
export function claimOf(target: Pick<Target, 'state' | 'said' | 'verdict'>): Shown | null {
  if (target.said) return target.said
  if (!target.verdict) return target.state
  if (target.state === 'verified') return 'executed'
  if (target.state === 'rolled_back_verified') return 'rolled_back'
  return target.state === 'contradicted' || target.state === 'unverifiable' ? null : target.state
}
