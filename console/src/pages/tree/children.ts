/** The children of a node, all of them up to a bound, for sorting and drawing here. */

import { tree, type TreeNode } from '@/api/tree'

export const MOST_CHILDREN = 5000
const PAGE = 1000

export interface Children {
  items: TreeNode[]
  /** There are more than can be drawn here; search finds them. */
  more: boolean
}

export async function childrenOf(parent: string): Promise<Children> {
  const items: TreeNode[] = []
  let cursor: string | null = null
  do {
    const page = await tree.nodes({ parent, limit: PAGE, cursor })
    items.push(...page.items)
    cursor = page.next
  } while (cursor && items.length < MOST_CHILDREN)
  return { items, more: cursor !== null }
}
