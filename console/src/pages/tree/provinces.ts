/**
 * Codes of provinces (first two digits of GB/T 2260) on a grid: a tile for each, near its neighbours. It is a scheme of
 * codes, not a map; it shows no boundary.
 */

export interface Tile {
  code: string
  row: number
  column: number
}

const ROWS = [
  '.. .. .. .. .. .. .. 23',
  '.. .. .. .. 15 .. .. 22',
  '65 62 64 14 13 11 12 21',
  '54 63 61 41 37 .. .. ..',
  '.. 51 50 42 34 32 31 ..',
  '.. 53 52 43 36 33 .. ..',
  '.. .. 45 44 35 .. 71 ..',
  '.. .. 46 82 81 .. .. ..',
]

export const TILES: readonly Tile[] = ROWS.flatMap((line, row) =>
  line.split(' ').flatMap((code, column) => (code === '..' ? [] : [{ code, row, column }])),
)
export const TILE_ROWS = ROWS.length
export const TILE_COLUMNS = 8

/** Code of the province of a region code, if there is such a province. */
export function provinceOf(region: string | undefined): string | null {
  const code = (region ?? '').slice(0, 2)
  return TILES.some((tile) => tile.code === code) ? code : null
}
