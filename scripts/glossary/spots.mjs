// Owns where names and texts stand in a file: declared names and messages of TypeScript, identifiers and strings of C++, Rust and Python,
// keys of our JSON files, names of the gRPC definition, headings. Knows nothing of what is retired.

import { basename, extname } from 'node:path'
import { typeScriptSpots } from './typescript-spots.mjs'

const SCRIPT = new Set(['.ts', '.mts', '.mjs', '.js'])
const NATIVE = new Set(['.cpp', '.hpp', '.h', '.c', '.rs', '.py', '.proto'])

/** Files of other people's making or format: only their names are ours. */
const FOREIGN = /^(test\/fixtures|test\/fuzz\/(corpus|regressions)|data|examples)\/|package-lock\.json$/

/** Files of the sentence-transformers and tokenizer formats, whose keys are not ours. */
const FOREIGN_KEYS =
  /(^|_)config\.json$|^config|^(modules|tokenizer|special_tokens_map|package|tsconfig.*|typedoc)\.json$|\.(pipeline|reference)\.json$/

/** Messages are looked for where users meet them, not in tests. */
const WITHOUT_MESSAGES = /^(test|native\/test|native\/fuzz)\//

/** `{ kind, line, text }` of each name, heading and message of a file; with `prose`, of comments and Markdown text as well. */
export function spotsOf(file, read, { prose = false } = {}) {
  const spots = [{ kind: 'names', line: 0, text: file.replace(/\.[a-z]+$/, '') }]
  if (FOREIGN.test(file)) return spots
  const type = extname(file)
  const wants = { messages: !WITHOUT_MESSAGES.test(file), prose }
  if (SCRIPT.has(type)) spots.push(...typeScriptSpots(file, read(), wants))
  else if (NATIVE.has(type)) spots.push(...tokenSpots(read(), type, wants))
  else if (type === '.md') spots.push(...markdownSpots(read(), wants))
  else if (type === '.json' && !FOREIGN_KEYS.test(basename(file))) spots.push(...keySpots(read()))
  return spots
}

// Longest alternatives first. Rust's lifetimes ('a) are no characters, so a character literal must close.
const COMMENT_SLASH = String.raw`\/\/[^\n]*|\/\*[\s\S]*?\*\/`
const TOKENS = {
  '.py':
    /(?<comment>#[^\n]*)|(?<string>[rbfu]{0,2}("""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))|(?<name>[A-Za-z_]\w*)/g,
  default: new RegExp(
    `(?<comment>${COMMENT_SLASH})|(?<string>R"(\\w*)\\([\\s\\S]*?\\)\\3"|b?r(#*)"[\\s\\S]*?"\\4|"(?:\\\\[\\s\\S]|[^"\\\\])*"|'(?:\\\\.[^']*|[^'\\\\\\n])')|(?<name>[A-Za-z_]\\w*)`,
    'g',
  ),
}

function tokenSpots(text, type, { messages, prose }) {
  const spots = []
  const lineAt = lineCounter(text)
  for (const match of text.matchAll(TOKENS[type] ?? TOKENS.default)) {
    const { comment, string, name } = match.groups
    const line = lineAt(match.index)
    if (name !== undefined) spots.push({ kind: 'names', line, text: name })
    else if (comment !== undefined && prose) spots.push({ kind: 'prose', line, text: comment })
    else if (string !== undefined && messages && /\w \w/.test(string)) spots.push({ kind: 'messages', line, text: string })
  }
  return spots
}

function markdownSpots(page, { prose }) {
  const spots = []
  let fenced = false
  for (const [at, text] of page.split('\n').entries()) {
    if (/^\s*(```|~~~)/.test(text)) fenced = !fenced
    else if (!fenced && /^#{1,6} /.test(text)) spots.push({ kind: 'headings', line: at + 1, text })
    else if (prose && text !== '') spots.push({ kind: 'prose', line: at + 1, text })
  }
  return spots
}

function keySpots(text) {
  const keys = new Set()
  JSON.parse(text, (key, value) => {
    if (!/^\d*$/.test(key)) keys.add(key)
    return value
  })
  return [...keys].map((key) => ({ kind: 'names', line: 1, text: key }))
}

function lineCounter(text) {
  let line = 1
  let seen = 0
  return (offset) => {
    for (; seen < offset; seen++) if (text.charCodeAt(seen) === 10) line++
    return line
  }
}
