/** Quality of a value by its severity bits (OPC 10000-4 §7.39; gongfu/kernel/quality.py). */

export type Severity = 'good' | 'uncertain' | 'bad'

/** Severity of a quality byte, or of the name the API may give instead. */
export function severity(quality: number | string | null | undefined): Severity {
  if (typeof quality === 'string') return quality.startsWith('bad') ? 'bad' : quality.startsWith('uncertain') ? 'uncertain' : 'good'
  const bits = (quality ?? 0) & 0xc0
  return bits === 0 ? 'good' : bits === 0x40 ? 'uncertain' : 'bad'
}
