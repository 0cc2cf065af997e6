// gabion evaluated in a vm context, as Jest and Vitest's vm pools do: what it gives is of that context's realm, and it takes that realm's
// arrays and this one's, though the addon is of this one. Needs --experimental-vm-modules.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { fail } from './texts.mjs'

const MAIN = new URL('../../../dist/index.js', import.meta.url).href
/** What is not of the language itself comes from this realm, as in Jest. */
const SHARED = ['AbortController', 'AbortSignal', 'Buffer', 'TextDecoder', 'TextEncoder', 'URL', 'atob', 'btoa', 'clearTimeout', 'performance', 'process', 'setTimeout'] // prettier-ignore
const context = vm.createContext(Object.fromEntries(SHARED.map((name) => [name, globalThis[name]])))

const modules = new Map()
const evaluations = new Map()

function load(specifier, parent) {
  const url = specifier === 'gabion' ? MAIN : specifier.startsWith('.') ? new URL(specifier, parent).href : specifier
  if (!modules.has(url))
    modules.set(url, url.startsWith('file:') ? ofSource(readFileSync(fileURLToPath(url), 'utf8'), url) : ofThisRealm(url))
  return modules.get(url)
}

function ofSource(code, identifier) {
  return new vm.SourceTextModule(code, {
    identifier,
    context,
    initializeImportMeta: (meta) => (meta.url = identifier),
    importModuleDynamically: async (specifier) => evaluated(await load(specifier, identifier)),
  })
}

async function ofThisRealm(specifier) {
  const real = await import(specifier)
  const names = Object.keys(real)
  const evaluate = function () {
    for (const name of names) this.setExport(name, real[name])
  }
  return new vm.SyntheticModule(names, evaluate, { context, identifier: specifier })
}

async function evaluated(module) {
  if (!evaluations.has(module)) {
    const run = async () => {
      if (module.status === 'unlinked') await module.link((specifier, { identifier }) => load(specifier, identifier))
      await module.evaluate()
    }
    evaluations.set(module, run())
  }
  await evaluations.get(module)
  return module
}

const inside = `
  import { cosineSimilarity, Embedder, isGabionError, Projection, semanticSearch } from 'gabion'

  export async function failures(outside) {
    const found = []
    const check = (what, holds) => void (holds || found.push(what))
    const embedder = await Embedder.load()
    const texts = ['one text', 'two', 'three', 'and four']
    const batch = await embedder.embedBatch(texts)
    const projection = Projection.fitPca(batch, { components: 2 })
    const [first] = await embedder.embedWindows(texts, { size: 32, stride: 32 }, { projection })
    const floats = {
      embed: await embedder.embed('one text'),
      'embed of a new text': await embedder.embed('nowhere seen'),
      embedSync: embedder.embedSync('one text'),
      'embedSync of a new text': embedder.embedSync('not seen either'),
      'cut vector': await embedder.embed('one text', { dimensions: 64 }),
      projected: await embedder.embed('one text', { projection }),
      row: batch.row(0),
      data: batch.data,
      'window vector': first[0].vector,
      'window point': first[0].projected,
      applied: projection.apply(batch.row(0)),
    }
    for (const [what, value] of Object.entries(floats)) {
      check(what, value instanceof Float32Array && value.constructor === Float32Array)
      check(what + ', buffer', value.buffer instanceof ArrayBuffer)
    }
    check('ids', embedder.tokenize('one text').ids instanceof Int32Array)
    check('token counts', batch.tokenCounts instanceof Int32Array)
    check('axes', projection.axes instanceof Float64Array)

    check('a vector of another realm', !(outside.vector instanceof Float32Array))
    check('apply to it', projection.apply(outside.vector).join() === projection.apply(floats.embed).join())
    check('cosine with it', Math.abs(cosineSimilarity(outside.vector, floats.embed) - 1) < 1e-6)
    const rows = { rows: 1, dimensions: 384, data: outside.vector }
    check('search in it', semanticSearch(floats.embed, rows)[0].index === 0)
    const four = { rows: 4, dimensions: 96, data: outside.vector }
    check('fit on it', Projection.fitPca(four, { components: 2 }).components === 2)
    const doubles = { ...projection, components: 2, dimensions: 384, axes: outside.doubles, mean: new Float64Array(384), model: null, fit: null }
    const copied = Projection.fromParts({ ...doubles, explainedVariance: new Float64Array(), explainedVarianceRatio: new Float64Array() })
    check('parts of it', copied.axes instanceof Float64Array && copied.affine().matrix instanceof Float64Array)

    const wrong = await embedder.embed(7).catch((error) => error)
    check('wrong argument', wrong instanceof TypeError && isGabionError(wrong) && wrong.code === 'INVALID_ARGUMENT')
    const abort = await embedder.embed('x', { signal: AbortSignal.abort() }).catch((error) => error)
    check('abort', abort instanceof Error && abort.name === 'AbortError' && abort.code === 'ABORTED')
    const missing = await Embedder.load('/nowhere/at/all').catch((error) => error)
    check('missing model', missing instanceof Error && missing.code === 'MODEL_NOT_FOUND')
    embedder.dispose()
    return found
  }
`
const module = await evaluated(ofSource(inside, import.meta.url))
const { Embedder } = await import(MAIN)
const embedder = await Embedder.load()
const vector = await embedder.embed('one text')
const found = await module.namespace.failures({ vector, doubles: new Float64Array(768).fill(0.1) })
embedder.dispose()
if (found.length > 0) fail(found.join(', '))
console.log('done')
