/** One ticking clock for everything that shows an age. */

import { readonly, ref } from 'vue'

const time = ref(Date.now())

if (typeof window !== 'undefined') {
  setInterval(() => {
    if (!document.hidden) time.value = Date.now()
  }, 1000)
}

/** Milliseconds since 1970, refreshed every second while the tab is visible. */
export const now = readonly(time)
