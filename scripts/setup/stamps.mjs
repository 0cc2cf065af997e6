// Decides whether a step is up to date: its stamp holds the hash of its inputs, and its outputs must exist.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './run.mjs'

const stampFolder = join(root, 'build', '.stamps')
const neverInputs = new Set(['node_modules', 'target', 'build', '.git', '__pycache__'])

/** Hash of files and folders (paths from the root; a missing one counts as empty) and of plain texts. */
export function hashInputs({ files = [], texts = [] }) {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${text}\n`)
  for (const file of files.flatMap(filesBelow)) {
    hash.update(`${file}\0`)
    hash.update(readFileSync(join(root, file)))
  }
  return hash.digest('hex')
}

/** True when the step's stamp has this hash and every output exists. */
export function isCurrent(step, hash, outputs) {
  return readStamp(step)?.hash === hash && outputs.every((output) => existsSync(join(root, output)))
}

/** The content of a step's stamp, or null. */
export function readStamp(step) {
  try {
    return JSON.parse(readFileSync(join(stampFolder, `${step}.json`), 'utf8'))
  } catch {
    return null
  }
}

/** Writes a step's stamp atomically. */
export function writeStamp(step, content) {
  mkdirSync(stampFolder, { recursive: true })
  const file = join(stampFolder, `${step}.json`)
  writeFileSync(`${file}.new`, `${JSON.stringify(content)}\n`)
  renameSync(`${file}.new`, file)
}

/** Name, size and time of a file too large to hash at each start; 'missing' where there is none. */
export function fileMark(path) {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined ? `${path} missing` : `${path} ${stat.size} ${stat.mtimeMs}`
}

function filesBelow(path) {
  const stat = statSync(join(root, path), { throwIfNoEntry: false })
  if (stat === undefined) return []
  if (!stat.isDirectory()) return [path]
  const names = readdirSync(join(root, path)).filter((name) => !neverInputs.has(name))
  return names.sort().flatMap((name) => filesBelow(join(path, name)))
}
