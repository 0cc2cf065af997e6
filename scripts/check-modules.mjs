#!/usr/bin/env node
// Generates the list of modules in ARCHITECTURE.md from the imports and includes of the sources, checks that it is current and that no
// module imports one above it.
//
// usage: node scripts/check-modules.mjs [--write]      without --write, a stale list is an error

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { parseArgs } from 'node:util'
import ts from 'typescript'
import { isMain, reportFailure, root, StepFailed } from './setup/run.mjs'

const PAGE = join(root, 'ARCHITECTURE.md')
const BEGIN = '<!-- modules: node scripts/check-modules.mjs --write -->'
const END = '<!-- /modules -->'
const WIDTH = 98

/** Modules with what they own, from the bottom to the top: imports point upward in this list. A file belongs to the longest path that contains it. */
const MODULES = {
  'native/tokenizer': 'Rust crate behind a C interface: text to token ids and windows',
  'native/system': 'threads and processor features, which differ between systems; used by kernels, algebra and engine',
  'native/kernels': "the encoder's CPU kernels, compiled once per instruction set; no ONNX, no texts",
  'native/algebra': 'outer-product sums and symmetric eigenvectors for fitting, similarities for search',
  'native/engine': 'sessions, pooling, projection and the scheduler, in C++20 without Node',
  'native/binding': 'the only code that includes Node-API: values, handles, delivery of results',
  'native/test': 'GoogleTest of engine and kernels, without Node',
  'native/fuzz': 'fuzz targets of the tokenizer crate',
  'lib/*.ts': 'errors, option checks, abort signals, SHA-256, lazy imports, package paths; used by all of lib',
  'lib/native-binaries.ts': 'location and integrity of the native binaries, before they are loaded',
  'lib/native.ts': 'declaration and loading of the native surface',
  'lib/files': 'atomic writes, locks, lines, `.npy`',
  'lib/json': 'checked reading of JSON',
  'lib/statistics': 'quantile, median, cosine, AUROC, bootstrap, correlation',
  'lib/models': 'model folders, known models, the hub and its cache, manifests, licenses',
  'lib/convert': 'safetensors and ONNX exports to graphs, and their measured agreement',
  'lib/checkpoint': 'safetensors of encoders, described for native code, which packs them',
  'lib/projection': 'PCA, standardization, adapters and their files; `formats/`: scikit-learn, NumPy',
  'lib/embedding': '`Embedder`: batches, windows, vector cache',
  'lib/classifier': "`Classifier` of Hugging Face folders; a guard's cross-encoder over segments",
  'lib/detection': 'the `Detector` interface, the classic detector, confusables folding',
  'lib/detection/erosion': 'the trained head at run time: level, explanation, artifact, lexicons',
  'lib/detection/guard': 'what has read the rules: their choice, signals, strength, level, explanation',
  'lib/detection/escalation': "questions to a model of the user's own about elevated exchanges",
  'lib/detection/fitting': 'what policies and training share: logistic regression, stored vectors',
  'lib/detection/policy': "a deployment's own policies and role drift",
  'lib/detection/training': 'training, calibration and evaluation that users run',
  'lib/transcripts': 'conversations in the forms, files and encodings that people have, whole and followed',
  'lib/monitor': '`Monitor`, `Conversation`, many conversations at once',
  'lib/migration': 'comparison of two embedders, verdict, cost; `cloud/`: providers, recordings',
  'lib/alerts': 'alerts: what they say, webhooks and commands, retries, the queue on disk',
  'lib/report': 'charts and pages from results',
  'lib/server': 'HTTP, gRPC, stores, limits, metrics, worker, proxy, dashboard',
  'lib/ai-sdk': 'middleware for the Vercel AI SDK',
  'lib/testing': 'helpers for the tests of users',
  'lib/cli': 'one thin file per command',
  'lib/index.ts': 'the public names; `lib/internals.ts`: those of tests and benches',
  lab: 'studies and training of the bundled artifacts and of the tables in docs',
}

const ORDER = Object.keys(MODULES)

/** What every module may use; the list names them once instead of on every line. */
const COMMON = 'lib/*.ts'

/** The module that a file belongs to. */
export function moduleOf(file, names = ORDER) {
  if (file === 'lib/internals.ts') return 'lib/index.ts'
  const within = names.filter((name) => file === name || file.startsWith(`${name}/`))
  if (within.length > 0) return within.reduce((longest, name) => (name.length > longest.length ? name : longest))
  return /^lib\/[^/]+\.ts$/.test(file) ? COMMON : undefined
}

/** Imports of a TypeScript source as `{ path, lazy }`; types do not count, as they are gone at run time. */
export function importsOf(text) {
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true)
  const found = []
  const visit = (node) => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined && !isTypeOnly(node)) {
      found.push({ path: node.moduleSpecifier.text, lazy: false })
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && ts.isStringLiteral(node.arguments[0])) {
      found.push({ path: node.arguments[0].text, lazy: true })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function isTypeOnly(node) {
  const clause = ts.isImportDeclaration(node) ? node.importClause : node
  if (clause === undefined) return false
  if (clause.isTypeOnly) return true
  const named = ts.isImportDeclaration(node) ? clause.namedBindings : clause.exportClause
  const onlyNamed = ts.isExportDeclaration(node) || clause.name === undefined
  return onlyNamed && named?.elements !== undefined && named.elements.every(({ isTypeOnly: type }) => type)
}

/** For each module the modules that it imports: name → true when it only does so lazily. */
function moduleImports() {
  const imports = new Map(Object.keys(MODULES).map((name) => [name, new Map()]))
  const upward = []
  const add = (file, target, lazy) => {
    const [from, to] = [moduleOf(file), moduleOf(target)]
    if (from === undefined) throw new StepFailed(`${file} belongs to no module: describe its folder in scripts/check-modules.mjs`)
    if (to === undefined || to === from) return
    if (ORDER.indexOf(to) > ORDER.indexOf(from)) upward.push(`${file} imports ${target}: ${from} may not import ${to}`)
    imports.get(from).set(to, lazy && imports.get(from).get(to) !== false)
  }
  for (const file of [...sources('lib', /\.ts$/), ...sources('lab', /\.ts$/)]) {
    for (const { path, lazy } of importsOf(readFileSync(join(root, file), 'utf8'))) {
      if (path.startsWith('.')) add(file, normalize(join(dirname(file), path)).replace(/\.js$/, '.ts'), lazy)
    }
  }
  const headers = sources('native', /\.(hpp|h)$/)
  for (const file of sources('native', /\.(cpp|hpp|h)$/)) {
    for (const [, path] of readFileSync(join(root, file), 'utf8').matchAll(/^#include ["<]([^">]+)[">]/gm)) {
      const near = normalize(join(dirname(file), path))
      const header = headers.includes(near) ? near : headers.find((name) => name.endsWith(`/${path}`))
      if (header !== undefined) add(file, header, false)
    }
  }
  if (upward.length > 0) throw new StepFailed(upward.join('\n'))
  return imports
}

function sources(folder, pattern) {
  const files = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
  return files
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
    .filter((file) => !file.includes('/target/') && !file.startsWith('lib/server/dashboard/'))
    .sort()
}

/** The list as Markdown. */
export function modulesList() {
  const imports = moduleImports()
  const lines = [...imports].flatMap(([name, targets]) => {
    if (sources(name.split('/')[0], /./).every((file) => moduleOf(file) !== name)) return []
    const used = ORDER.filter((target) => target !== COMMON && targets.has(target))
    const short = used.map((target) => `${shortName(target)}${targets.get(target) ? '*' : ''}`)
    const uses = short.length === 0 ? '' : ` Imports ${short.join(', ')}.`
    return wrap(`- **${name.replace('*', '\\*')}**: ${MODULES[name]}.${uses.replaceAll('*', '\\*')}`)
  })
  return lines.join('\n')
}

const shortName = (name) => name.replace(/^lib\//, '').replace(/\.ts$/, '')

function wrap(text) {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line !== '' && line.length + 1 + word.length > WIDTH) lines.push(`  ${word}`)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

/** Files and folders that a page of the repository names in backticks and that do not exist. */
export function missingPaths(page) {
  const named = [...page.matchAll(/`((?:bench|data|deploy|docs|examples|lab|lib|models|native|protocol|scripts|test)\/[\w./-]*)`/g)]
  return [...new Set(named.map(([, path]) => path))].filter((path) => !existsSync(join(root, path)))
}

/** Writes the list into ARCHITECTURE.md, or throws StepFailed if it differs from the one there or a named path does not exist. */
export function checkModules({ write = false } = {}) {
  const page = readFileSync(PAGE, 'utf8')
  const missing = ['ARCHITECTURE.md', 'CONTRIBUTING.md'].flatMap((name) =>
    missingPaths(readFileSync(join(root, name), 'utf8')).map((path) => `${name} names ${path}, which does not exist`),
  )
  if (missing.length > 0) throw new StepFailed(missing.join('\n'))
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin) throw new StepFailed(`ARCHITECTURE.md lacks the markers ${BEGIN} and ${END}`)
  const current = `${page.slice(0, begin)}${BEGIN}\n\n${modulesList()}\n\n${page.slice(end)}`
  if (current === page) return
  if (!write) throw new StepFailed('ARCHITECTURE.md: the list of modules is stale; `node scripts/check-modules.mjs --write` updates it')
  writeFileSync(PAGE, current)
}

if (isMain(import.meta.url)) {
  try {
    const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } })
    checkModules(values)
  } catch (error) {
    reportFailure(error)
  }
}
