import { createI18n } from 'vue-i18n'
import { computed } from 'vue'
import type { Language } from '@/api/types'
import { pageMessages } from '@/pages/messages'
import en from './en'
import zh from './zh'

const KEY = 'gongfu.language'

function first(): Language {
  const kept = typeof localStorage === 'undefined' ? null : localStorage.getItem(KEY)
  if (kept === 'zh' || kept === 'en') return kept
  return typeof navigator !== 'undefined' && navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}

export const messages = {
  zh: { ...zh, ...pageMessages('zh') },
  en: { ...en, ...pageMessages('en') },
}

export const i18n = createI18n<false>({ legacy: false, locale: first(), fallbackLocale: false, messages })

export const language = computed<Language>(() => (i18n.global.locale.value === 'zh' ? 'zh' : 'en'))

/** The other language, by its own name. */
export const OTHER_LANGUAGE: Record<Language, string> = { zh: 'English', en: '中文' }

/** Locale of numbers and relative times. */
export const locale = computed(() => (language.value === 'zh' ? 'zh-CN' : 'en-GB'))

export function setLanguage(next: Language): void {
  i18n.global.locale.value = next
  localStorage.setItem(KEY, next)
  document.documentElement.lang = next === 'zh' ? 'zh-CN' : 'en'
}
