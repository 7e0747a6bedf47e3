/** Colours of lines by their place; the ninth and later repeat the colours, dashed. */
export function colorsFor(series: readonly number[]): Record<number, string> {
  return Object.fromEntries(series.map((id, index) => [id, `--chart-${(index % 8) + 1}`]))
}
