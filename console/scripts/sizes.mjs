// Gzip sizes of the build: the shell (what the sign-in page loads) and every further file.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('../../gongfu/web/static/', import.meta.url))
const html = readFileSync(`${root}index.html`, 'utf8')
const rows = readdirSync(`${root}assets-static`)
  .filter((name) => /\.(js|css)$/.test(name))
  .map((name) => ({ name, shell: html.includes(name), gzip: gzipSync(readFileSync(`${root}assets-static/${name}`), { level: 9 }).length }))
  .sort((a, b) => Number(b.shell) - Number(a.shell) || b.gzip - a.gzip)
const kB = (bytes) => `${(bytes / 1000).toFixed(1).padStart(7)} kB`
for (const row of rows) console.log(`${kB(row.gzip)}  ${row.shell ? 'shell' : '     '}  ${row.name}`)
const total = (of) => of.reduce((sum, row) => sum + row.gzip, 0)
console.log(`${kB(total(rows.filter((row) => row.shell)))}  shell in all`)
console.log(`${kB(total(rows))}  everything`)
