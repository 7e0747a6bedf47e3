/** What a role may do, as in gongfu/kernel/permissions.py; the node checks again, this only spares dead buttons. */

import type { Role } from './types'

export type Action =
  | 'data.sql'
  | 'alarm.acknowledge'
  | 'device.send'
  | 'device.write'
  | 'asset.write'
  | 'point.write'
  | 'rule.write'
  | 'user.write'
  | 'tenant.write'
  | 'node.operate'
  | 'tree.write'
  | 'order.answer'
  | 'order.write'
  | 'order.approve'
  | 'report.write'
  | 'identifier.write'
  | 'identifier.review'
  | 'app.rate'
  | 'app.publish'
  | 'app.review'
  | 'app.install'
  | 'call.make'
  | 'call.write'

const operator: Action[] = ['alarm.acknowledge', 'order.answer', 'data.sql', 'app.rate']
const engineer: Action[] = [...operator, 'device.send', 'device.write', 'asset.write', 'point.write', 'rule.write', 'order.write', 'order.approve', 'report.write', 'identifier.write', 'app.publish', 'call.make']
const grants: Record<Role, ReadonlySet<Action>> = {
  viewer: new Set(),
  operator: new Set(operator),
  engineer: new Set(engineer),
  admin: new Set<Action>([...engineer, 'user.write', 'tenant.write', 'node.operate', 'tree.write', 'identifier.review', 'app.review', 'app.install', 'call.write']),
}

const NODE_TENANT = 1
// The place of a node in the tree is the node's own matter, whatever tenants it has.
const nodeOnly = new Set<Action>(['tenant.write', 'node.operate', 'tree.write', 'order.answer', 'order.write', 'order.approve', 'report.write', 'identifier.write', 'identifier.review', 'app.review', 'call.make', 'call.write'])

export function allowed(role: Role, action: Action, tenant = NODE_TENANT): boolean {
  return grants[role].has(action) && (tenant === NODE_TENANT || !nodeOnly.has(action))
}
