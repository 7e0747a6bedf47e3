/** Pure: how an installed app stands, in one word and one mark. */

import type { InstalledApp } from '@/api/apps'

export type ShownState = 'running' | 'starting' | 'failing' | 'stopped' | 'disabled' | 'unknown' | 'changing' | 'withheld'

type Standing = Pick<InstalledApp, 'status' | 'enabled' | 'running'> & Partial<Pick<InstalledApp, 'withheld'>>

export function stateOf(app: Standing): ShownState {
  if (app.status !== 'installed') return 'changing'
  if (!app.enabled) return 'disabled'
  if (app.withheld) return 'withheld'
  return app.running ? app.running.state : 'unknown'
}

const MARKS = { running: 'on', starting: 'off', failing: 'fail', stopped: 'warn', disabled: 'disabled', unknown: 'off', changing: 'warn', withheld: 'fail' } as const

export function markOf(app: Standing): (typeof MARKS)[ShownState] {
  return MARKS[stateOf(app)]
}
