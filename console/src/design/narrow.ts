/** Is the screen that of a phone? Same bound as the style sheets. */

import { readonly, ref } from 'vue'

const media = typeof matchMedia === 'undefined' ? null : matchMedia('(max-width: 720px)')
const state = ref(media?.matches ?? false)
media?.addEventListener('change', (event) => (state.value = event.matches))

export const narrow = readonly(state)
