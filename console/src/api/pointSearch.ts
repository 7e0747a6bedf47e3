/** Search of points by several words; the node's own search takes one piece of text. */

import { api } from './endpoints'
import type { Point } from './types'

const PAGE = 500
const MAX_PAGES = 6

/** Words of a search, the most telling (longest) first. Path and name may be written as one: `tep/reactor/pressure`. */
export function wordsOf(text: string): string[] {
  return text.split(/[\s/]+/).filter(Boolean).sort((a, b) => b.length - a.length)
}

export function hasWords(point: Pick<Point, 'asset_path' | 'name'>, words: readonly string[]): boolean {
  const text = `${point.asset_path}/${point.name}`.toLowerCase()
  return words.every((word) => text.includes(word.toLowerCase()))
}

export interface Found {
  items: Point[]
  /** There may be further ones beyond what was looked through. */
  more: boolean
}

/** The node looks for the longest word, the others are looked for here, over at most 3,000 points. */
export async function searchPoints(text: string, limit: number): Promise<Found> {
  const words = wordsOf(text)
  const items: Point[] = []
  let cursor: string | null = null
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const answer = await api.points.list({ search: words[0] ?? '', limit: words.length > 1 ? PAGE : Math.min(limit, 1000), cursor })
    items.push(...answer.items.filter((point) => hasWords(point, words)))
    cursor = answer.next
    if (!cursor || items.length >= limit) break
  }
  return { items: items.slice(0, limit), more: cursor !== null || items.length > limit }
}
