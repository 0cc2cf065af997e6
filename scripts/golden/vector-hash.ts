// Owns the hashes of what the encoder computes: SHA-256 over the vectors of 2,000 real texts and over the windows of long ones, per
// precision and instruction set. Equal hashes are equal bits. test/parity/vector-hash.test.ts compares them with this machine's.
//
// The hashes were made anew when vectors came to be normalized once instead of twice: normalized once more, the new vectors had the bits of
// the old ones in every precision and instruction set that was compared.
//
// usage: node --import tsx scripts/golden/vector-hash.ts [--library DIST] [--write]
//   --library  the folder of the build that computes; default: this checkout's sources
//   --write    adds the hashes to vector-hash.json in place of the old ones; default: compares
// Runs itself per instruction set (GABION_ISA). The fp32 graph is made from the checkpoint in build/cache (`npm run setup -- --for test`).

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import type { convertModel } from '../../lib/convert/index.js'
import type { Embedder } from '../../lib/index.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const goldenFile = join(root, 'scripts', 'golden', 'vector-hash.json')

/** What the hashes are made with: the library's sources or a build of them. */
export interface Library {
  Embedder: typeof Embedder
  convertModel: typeof convertModel
}

/** Hashes of one precision with one instruction set. */
export interface VectorHashes {
  vectors: string
  windows: string
}

/** By precision, then by instruction set. */
export type GoldenHashes = Record<string, Record<string, VectorHashes>>

export const HASHED_PRECISIONS = ['fp32', 'bf16', 'int8'] as const
const INSTRUCTION_SETS = ['avx2', 'avx-vnni', 'avx512-vnni', 'avx512-bf16', 'amx', 'neon', 'neon-dotprod', 'neon-i8mm', 'neon-bf16']
const TEXTS = 2000
// Long enough for several windows, few enough for a minute.
const WINDOWED_TEXTS = 200
const WINDOWS = { size: 96, stride: 64 }

export function readGoldenHashes(): GoldenHashes {
  return JSON.parse(readFileSync(goldenFile, 'utf8')) as GoldenHashes
}

/** Messages of data/mt-bench-101.jsonl.gz: every n-th of the sorted distinct ones, so that all lengths and languages occur. */
export function hashedTexts(): string[] {
  const lines = gunzipSync(readFileSync(join(root, 'data', 'mt-bench-101.jsonl.gz')))
    .toString('utf8')
    .trim()
    .split('\n')
  const messages = lines.flatMap((line) =>
    (JSON.parse(line) as { turns: { user: unknown; model: unknown }[] }).turns.flatMap(({ user, model }) => [user, model]),
  )
  const distinct = [...new Set(messages.filter((message) => typeof message === 'string'))].sort()
  return Array.from({ length: TEXTS }, (_, index) => distinct[Math.floor((index * distinct.length) / TEXTS)] as string)
}

/** Makes a folder with an fp32 graph; the bundled one has bf16 weights. */
async function fp32Folder(library: Library, folder: string): Promise<string> {
  const out = join(folder, 'model')
  await library.convertModel({ source: join(root, 'build', 'cache', 'all-MiniLM-L6-v2'), out, precisions: ['fp32'] })
  return out
}

/** Hashes of this process's instruction set. */
export async function vectorHashes(library: Library, precision: (typeof HASHED_PRECISIONS)[number]): Promise<VectorHashes> {
  const folder = mkdtempSync(join(tmpdir(), 'gabion-hash-'))
  try {
    const model = precision === 'fp32' ? { model: await fp32Folder(library, folder) } : {}
    using embedder = await library.Embedder.load({ ...model, precision, onTruncated: () => undefined, cache: false })
    const texts = hashedTexts()
    const batch = await embedder.embedBatch(texts)
    const vectors = createHash('sha256')
    for (let row = 0; row < batch.rows; row++) vectors.update(batch.row(row))
    const windows = createHash('sha256')
    const longest = [...texts].sort((a, b) => b.length - a.length).slice(0, WINDOWED_TEXTS)
    const windowed = await embedder.embedWindows(longest, WINDOWS)
    for (const index of longest.keys()) {
      for (const { vector, start, end } of windowed.windows(index)) windows.update(vector).update(`${String(start)}-${String(end)},`)
    }
    return { vectors: vectors.digest('hex'), windows: windows.digest('hex') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const extension = (library: string): string => (library === join(root, 'lib') ? 'ts' : 'js')

async function computeHere(library: string): Promise<void> {
  const modules = [['index'], ['convert', 'index']].map((path) => pathToFileURL(join(library, ...path)).href)
  const imported = (await Promise.all(modules.map((module) => import(`${module}.${extension(library)}`)))) as object[]
  const loaded = Object.assign({}, ...imported) as Library
  const embedder = await loaded.Embedder.load()
  const { instructionSet } = embedder.info
  embedder.dispose()
  const hashes: Record<string, VectorHashes> = {}
  for (const precision of HASHED_PRECISIONS) hashes[precision] = await vectorHashes(loaded, precision)
  process.stdout.write(JSON.stringify({ instructionSet, hashes }))
}

function computeWith(library: string, instructionSet: string): Record<string, VectorHashes> | null {
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url), '--library', library, '--here']
  const child = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', env: { ...process.env, GABION_ISA: instructionSet } })
  if (child.stderr.includes('this processor runs')) return null
  if (child.status !== 0) throw new Error(child.stderr)
  const result = JSON.parse(child.stdout) as { instructionSet: string; hashes: Record<string, VectorHashes> }
  if (result.instructionSet !== instructionSet) throw new Error(`${instructionSet} was requested, ${result.instructionSet} ran`)
  return result.hashes
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      library: { type: 'string', default: join(root, 'lib') },
      write: { type: 'boolean', default: false },
      here: { type: 'boolean', default: false },
    },
  })
  const library = resolve(values.library)
  if (values.here) {
    await computeHere(library)
    return
  }
  const golden = values.write ? {} : readGoldenHashes()
  for (const instructionSet of INSTRUCTION_SETS) {
    const hashes = computeWith(library, instructionSet)
    if (hashes === null) continue
    for (const [precision, found] of Object.entries(hashes)) {
      const known = golden[precision]?.[instructionSet]
      const same = known?.vectors === found.vectors && known.windows === found.windows
      console.log(
        `${precision} ${instructionSet}: ${values.write ? 'written' : known === undefined ? 'unknown' : same ? 'the same bits' : 'OTHER BITS'}`,
      )
      if (values.write) golden[precision] = { ...golden[precision], [instructionSet]: found }
      else if (known !== undefined && !same) process.exitCode = 1
    }
  }
  if (values.write) writeFileSync(goldenFile, `${JSON.stringify(golden, null, 2)}\n`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
