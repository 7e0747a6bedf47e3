import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import en from '../src/i18n/en'
import zh from '../src/i18n/zh'
import { pageMessages } from '../src/pages/messages'
import { LATER } from '../src/pages/words'

type Tree = { [key: string]: string | Tree }

function flat(tree: Tree, prefix = ''): Map<string, string> {
  const out = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === 'string') out.set(prefix + key, value)
    else for (const [inner, text] of flat(value, `${prefix}${key}.`)) out.set(inner, text)
  }
  return out
}

const later = Object.fromEntries(await Promise.all(Object.entries(LATER).map(async ([page, load]) => [page, (await load()).default] as const)))
const laterIn = (language: 'zh' | 'en') => Object.fromEntries(Object.entries(later).map(([page, both]) => [page, both[language]]))
const words = {
  zh: flat({ ...zh, ...pageMessages('zh'), ...laterIn('zh') } as Tree),
  en: flat({ ...en, ...pageMessages('en'), ...laterIn('en') } as Tree),
}

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return sources(path)
    return /\.(vue|ts)$/.test(name) ? [path] : []
  })
}
const files = sources(join(__dirname, '../src'))
const isWords = (path: string) => path.endsWith('messages.ts') || path.endsWith('/i18n/zh.ts') || path.endsWith('/i18n/en.ts')
const code = files.filter((path) => !isWords(path)).map((path) => ({ path, text: readFileSync(path, 'utf8') }))

describe('words', () => {
  it('has the same keys in both languages', () => {
    expect([...words.zh.keys()].filter((key) => !words.en.has(key))).toEqual([])
    expect([...words.en.keys()].filter((key) => !words.zh.has(key))).toEqual([])
  })

  it('has the same placeholders in both languages', () => {
    const holes = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort()
    for (const [key, text] of words.zh) expect([key, ...holes(text)]).toEqual([key, ...holes(words.en.get(key) ?? '')])
  })

  it('has no Chinese in English, no empty word, and Chinese that is not English', () => {
    expect([...words.en].filter(([, text]) => /[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]/.test(text))).toEqual([])
    expect([...words.en, ...words.zh].filter(([, text]) => text.trim() === '')).toEqual([])
    const same = [...words.zh].filter(([key, text]) => text === words.en.get(key)).map(([key]) => key)
    expect(same).toEqual(['brand.latin', 'administration.en', 'overview.commit_note', 'overview.cpu'])
  })

  it('knows every key that the code names', () => {
    const missing = code.flatMap(({ path, text }) =>
      [...text.matchAll(/\bt\(\s*'([\w.-]+)'/g)].map((match) => match[1]!).filter((key) => !words.en.has(key)).map((key) => `${path}: ${key}`),
    )
    expect(missing).toEqual([])
  })

  it('knows a key for every pattern that the code builds', () => {
    const keys = [...words.en.keys()]
    const missing = code.flatMap(({ path, text }) =>
      [...text.matchAll(/\bt\(\s*`([^`]*)`/g)]
        .map((match) => match[1]!)
        .filter((pattern) => {
          const shape = new RegExp(`^${pattern.split(/\$\{[^}]*\}/).map((part) => part.replace(/[.]/g, '\\.')).join('[\\w-]+')}$`)
          return !keys.some((key) => shape.test(key))
        })
        .map((pattern) => `${path}: ${pattern}`),
    )
    expect(missing).toEqual([])
  })

  it('has no words in templates but the brand', () => {
    const found = code
      .filter(({ path }) => path.endsWith('.vue'))
      .flatMap(({ path, text }) => {
        const template = text.slice(text.indexOf('<template>'))
        return [...template.matchAll(/[\u4e00-\u9fff]+/g)].map((match) => `${path}: ${match[0]}`)
      })
      .filter((line) => !line.endsWith(': 工赋'))
    expect(found).toEqual([])
  })

  it('uses every word', () => {
    const all = code.map(({ text }) => text).join('\n')
    const dynamic = [...all.matchAll(/`([\w.]*\$\{[^`]*)`/g)].map((match) => match[1]!)
    const unused = [...words.en.keys()].filter((key) => {
      if (all.includes(`'${key}'`)) return false
      const tail = key.slice(key.indexOf('.') + 1)
      if (all.includes(`'${tail}'`) || dynamic.some((pattern) => key.startsWith(pattern.split('${')[0]!) && pattern.split('${')[0] !== '')) return false
      return true
    })
    expect(unused).toEqual([])
  })
})
