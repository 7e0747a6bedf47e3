/** Pure list logic of open alarms: merge changes, order, count. */

import type { Alarm, AlarmState, Priority } from '@/api/types'

export const PRIORITIES: readonly Priority[] = ['critical', 'high', 'medium', 'low']
export const OPEN_STATES: readonly AlarmState[] = [
  'unacknowledged_active',
  'acknowledged_active',
  'unacknowledged_returned',
  'latched_unacknowledged',
  'latched_acknowledged',
]
/** The condition stands, and nobody is told (ISA-18.2 §5.4 G, H, I). */
export const SUPPRESSED_STATES: readonly AlarmState[] = ['shelved', 'suppressed_by_design', 'out_of_service']

const stateRank: Record<AlarmState, number> = {
  unacknowledged_active: 0,
  acknowledged_active: 1,
  latched_unacknowledged: 2,
  unacknowledged_returned: 3,
  latched_acknowledged: 4,
  shelved: 5,
  suppressed_by_design: 5,
  out_of_service: 5,
  closed: 6,
}

export function isUnacknowledged(alarm: Alarm): boolean {
  return alarm.state === 'unacknowledged_active' || alarm.state === 'unacknowledged_returned' || alarm.state === 'latched_unacknowledged'
}

export function isSuppressed(alarm: Alarm): boolean {
  return SUPPRESSED_STATES.includes(alarm.state)
}

/** Whether an operator has it before him. */
export function isOpen(alarm: Alarm): boolean {
  return alarm.state !== 'closed' && !isSuppressed(alarm)
}

export function isActive(alarm: Alarm): boolean {
  return alarm.state === 'unacknowledged_active' || alarm.state === 'acknowledged_active'
}

/** Unacknowledged and active first, then priority, then the newest (ISA-18.2 list practice). */
export function compareAlarms(a: Alarm, b: Alarm): number {
  return (
    stateRank[a.state] - stateRank[b.state] ||
    PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) ||
    Date.parse(b.raised_at) - Date.parse(a.raised_at)
  )
}

/** Return the open alarms after `change`; one that is closed or suppressed leaves the list. */
export function mergeAlarm(open: readonly Alarm[], change: Alarm): Alarm[] {
  const rest = open.filter((alarm) => alarm.id !== change.id)
  if (isOpen(change)) rest.push(change)
  return rest.sort(compareAlarms)
}

export interface AlarmCount {
  priority: Priority
  open: number
  unacknowledged: number
}

export function countByPriority(open: readonly Alarm[]): AlarmCount[] {
  return PRIORITIES.map((priority) => {
    const mine = open.filter((alarm) => alarm.priority === priority)
    return { priority, open: mine.length, unacknowledged: mine.filter(isUnacknowledged).length }
  })
}

/** Is this change worth an announcement: an alarm that was not open and active before and is now? */
export function isNewAlarm(open: readonly Alarm[], change: Alarm): boolean {
  if (change.state !== 'unacknowledged_active') return false
  const before = open.find((alarm) => alarm.id === change.id)
  return before === undefined || !isActive(before)
}
