/** Bar codes in pictures, read in the browser: the picture goes nowhere. */

import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader'
import wasm from 'zxing-wasm/reader/zxing_reader.wasm?url'

let prepared = false

/** The texts of the codes in a picture, QR and Data Matrix first. */
export async function codesIn(picture: Blob): Promise<string[]> {
  if (!prepared) prepareZXingModule({ overrides: { locateFile: () => wasm } })
  prepared = true
  const found = await readBarcodes(picture, { tryHarder: true, maxNumberOfSymbols: 10 })
  const order = (format: string) => (format === 'QRCode' || format === 'DataMatrix' ? 0 : 1)
  return found
    .filter((code) => code.isValid && code.text)
    .sort((a, b) => order(a.format) - order(b.format))
    .map((code) => code.text)
}
