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

const operator: Action[] = ['alarm.acknowledge', 'data.sql']
const engineer: Action[] = [...operator, 'device.send', 'device.write', 'asset.write', 'point.write', 'rule.write']
const grants: Record<Role, ReadonlySet<Action>> = {
  viewer: new Set(),
  operator: new Set(operator),
  engineer: new Set(engineer),
  admin: new Set<Action>([...engineer, 'user.write', 'tenant.write']),
}

export function allowed(role: Role, action: Action): boolean {
  return grants[role].has(action)
}
