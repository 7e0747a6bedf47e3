/** Reload what is shown when the node says that it changed: soon, but not more often than `pause`. */

import { onScopeDispose } from 'vue'
import { useTreeEvents } from './stream'

const SOON_MS = 250

/**
 * Call `reload` after a change of something that `concerns` this page. Several changes become one call, a call is over
 * before the next begins, and while nobody sees the tab nothing is asked.
 */
export function useReloadOnChange(concerns: (changed: string) => boolean, reload: () => Promise<unknown>, pause: () => number = () => 1500): void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let last = 0
  let running = false
  let again = false

  async function run(): Promise<void> {
    timer = undefined
    if (document.hidden) return void (again = true)
    running = true
    again = false
    await reload().catch(() => undefined)
    last = Date.now()
    running = false
    if (again) plan()
  }
  function plan(): void {
    if (running) return void (again = true)
    timer ??= setTimeout(() => void run(), Math.max(SOON_MS, last + pause() - Date.now()))
  }
  function seen(): void {
    if (!document.hidden && again) plan()
  }

  useTreeEvents((changed) => {
    if (changed.some(concerns)) plan()
  })
  document.addEventListener('visibilitychange', seen)
  onScopeDispose(() => {
    clearTimeout(timer)
    again = false
    document.removeEventListener('visibilitychange', seen)
  })
}
