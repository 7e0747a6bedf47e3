/** Light or dark; follows the system until somebody chooses. */

import { readonly, ref } from 'vue'

export type Theme = 'light' | 'dark'
const KEY = 'gongfu.theme'
const dark = typeof matchMedia === 'undefined' ? null : matchMedia('(prefers-color-scheme: dark)')

function kept(): Theme | null {
  const value = localStorage.getItem(KEY)
  return value === 'light' || value === 'dark' ? value : null
}

const current = ref<Theme>('light')

function apply(next: Theme): void {
  current.value = next
  document.documentElement.dataset.theme = next
}

export function startTheme(): void {
  apply(kept() ?? (dark?.matches ? 'dark' : 'light'))
  dark?.addEventListener('change', (event) => {
    if (!kept()) apply(event.matches ? 'dark' : 'light')
  })
}

export function toggleTheme(): void {
  const next = current.value === 'dark' ? 'light' : 'dark'
  localStorage.setItem(KEY, next)
  apply(next)
}

export const theme = readonly(current)

/** Value of a colour token, for canvases. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}
