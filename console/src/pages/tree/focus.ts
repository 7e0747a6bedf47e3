/** Arrow keys, Home and End among the links and buttons of a list; Tab leaves it. */
export function stepFocus(event: KeyboardEvent): void {
  const box = event.currentTarget as HTMLElement
  const all = [...box.querySelectorAll<HTMLElement>('a[tabindex], button:not([disabled])')]
  const at = all.indexOf(document.activeElement as HTMLElement)
  const next: Record<string, number> = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }
  const index = next[event.key]
  if (at < 0 || index === undefined) return
  event.preventDefault()
  const to = all[Math.min(Math.max(index, 0), all.length - 1)]
  if (!to) return
  for (const other of all) other.tabIndex = other === to ? 0 : -1
  to.focus()
}
