/** Squarified treemap: rectangles as large as their values, as square as they can be (Bruls, Huizing, van Wijk 2000). */

export interface Box {
  x: number
  y: number
  width: number
  height: number
}

function worst(row: readonly number[], side: number): number {
  const sum = row.reduce((total, value) => total + value, 0)
  const most = Math.max(...row)
  const least = Math.min(...row)
  return Math.max((side * side * most) / (sum * sum), (sum * sum) / (side * side * least))
}

/** Boxes in the order of the values, which must be positive and descend; they fill the space given. */
export function squarify(values: readonly number[], space: Box): Box[] {
  const total = values.reduce((sum, value) => sum + value, 0)
  if (total <= 0) return []
  const scale = (space.width * space.height) / total
  const areas = values.map((value) => value * scale)
  const boxes: Box[] = []
  let { x, y, width, height } = space
  let start = 0
  while (start < areas.length) {
    const side = Math.min(width, height)
    let end = start + 1
    while (end < areas.length && worst(areas.slice(start, end + 1), side) <= worst(areas.slice(start, end), side)) end += 1
    const row = areas.slice(start, end)
    const thickness = row.reduce((sum, area) => sum + area, 0) / side
    let offset = 0
    for (const area of row) {
      const length = area / thickness
      boxes.push(
        width >= height
          ? { x, y: y + offset, width: thickness, height: length }
          : { x: x + offset, y, width: length, height: thickness },
      )
      offset += length
    }
    if (width >= height) {
      x += thickness
      width -= thickness
    } else {
      y += thickness
      height -= thickness
    }
    start = end
  }
  return boxes
}
