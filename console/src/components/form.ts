/** What a form needs around its call: busy while it runs, and the node's own words when it refuses. */

import { ref, type Ref } from 'vue'
import { i18n } from '@/i18n'
import { asProblem } from './load'
import { problemText } from './problem'

export interface Form {
  busy: Ref<boolean>
  error: Ref<string>
  submit: () => Promise<void>
}

export function useForm(call: () => Promise<unknown>): Form {
  const busy = ref(false)
  const error = ref('')
  async function submit(): Promise<void> {
    if (busy.value) return
    busy.value = true
    error.value = ''
    try {
      await call()
    } catch (caught) {
      const { title, detail } = problemText(asProblem(caught), i18n.global.t)
      error.value = detail ? `${title}: ${detail}` : title
    } finally {
      busy.value = false
    }
  }
  return { busy, error, submit }
}
