/** Rows of a CSV text (RFC 4180) by the names of its first row; empty fields and empty rows are left out. */
export function rowsOf(text: string): Record<string, string>[] {
  const [names, ...records] = fieldsOf(text.replace(/^\uFEFF/, ''))
  if (!names) return []
  return records
    .map((record) => Object.fromEntries(names.map((name, at) => [name.trim(), (record[at] ?? '').trim()] as const).filter(([name, field]) => name && field)))
    .filter((row) => Object.keys(row).length > 0)
}

function fieldsOf(text: string): string[][] {
  const records: string[][] = []
  let record: string[] = []
  let field = ''
  let quoted = false
  const end = () => {
    record.push(field)
    field = ''
  }
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at]!
    if (quoted) {
      if (sign !== '"') field += sign
      else if (text[at + 1] === '"') {
        field += '"'
        at += 1
      } else quoted = false
    } else if (sign === '"' && field === '') quoted = true
    else if (sign === ',') end()
    else if (sign === '\n') {
      end()
      records.push(record)
      record = []
    } else if (sign !== '\r') field += sign
  }
  if (field || record.length) {
    end()
    records.push(record)
  }
  return records
}
