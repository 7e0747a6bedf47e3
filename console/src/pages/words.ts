/** Words that come with their page: those of the tree's pages are as much as all others together. */

import type { Component } from 'vue'
import type { Language } from '@/api/types'
import { i18n } from '@/i18n'

type Words = Record<Language, object>

export const LATER = {
  alarm_management: () => import('./alarms/managementMessages'),
  tree: () => import('./tree/messages'),
  orders: () => import('./orders/messages'),
  reports: () => import('./reports/messages'),
  identifiers: () => import('./identifiers/messages'),
  apps: () => import('./apps/messages'),
  store: () => import('./store/messages'),
  connections: () => import('./connections/messages'),
  thing_models: () => import('./thing-models/messages'),
  models: () => import('./models/messages'),
} satisfies Record<string, () => Promise<{ default: Words }>>

async function fetchWords(page: keyof typeof LATER): Promise<void> {
  const words: Words = (await LATER[page]()).default
  for (const language of ['zh', 'en'] as const) i18n.global.mergeLocaleMessage(language, { [page]: words[language] })
}

/** A page that is shown when its words are there, too. */
export function withWords<T extends Component>(pages: (keyof typeof LATER)[], page: () => Promise<T>): () => Promise<T> {
  return async () => {
    const [loaded] = await Promise.all([page(), ...pages.map(fetchWords)])
    return loaded
  }
}
