/** Words of all pages: every page folder brings its own `messages.ts` with the same keys in zh and en. `words.ts` has those that come later. */

import type { Language } from '@/api/types'
import administration from './administration/messages'
import alarms from './alarms/messages'
import assets from './assets/messages'
import demo from './demo/messages'
import devices from './devices/messages'
import overview from './overview/messages'
import rules from './rules/messages'
import signin from './signin/messages'
import sql from './sql/messages'
import trend from './trend/messages'

const pages = { administration, alarms, assets, demo, devices, overview, rules, signin, sql, trend }

type Tree = { [key: string]: string | Tree }

export function pageMessages(language: Language): Record<string, Tree> {
  return Object.fromEntries(Object.entries(pages).map(([page, words]) => [page, words[language] as Tree]))
}
