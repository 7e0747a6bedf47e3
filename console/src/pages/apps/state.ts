/** Pure: how an installed app stands, in one word and one mark. */

import type { InstalledApp } from '@/api/apps'

export type ShownState = 'running' | 'starting' | 'failing' | 'stopped' | 'disabled' | 'unknown' | 'changing'

export function stateOf(app: Pick<InstalledApp, 'status' | 'enabled' | 'running'>): ShownState {
  if (app.status !== 'installed') return 'changing'
  if (!app.enabled) return 'disabled'
  return app.running ? app.running.state : 'unknown'
}

const MARKS = { running: 'on', starting: 'off', failing: 'fail', stopped: 'warn', disabled: 'disabled', unknown: 'off', changing: 'warn' } as const

export function markOf(app: Pick<InstalledApp, 'status' | 'enabled' | 'running'>): (typeof MARKS)[ShownState] {
  return MARKS[stateOf(app)]
}
