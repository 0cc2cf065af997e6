// Names and paths to folders, checksums of folders, licenses: on the bundled model itself and on small copies.

import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { convertModel } from '../../lib/convert/index.js'
import {
  DEFAULT_MODEL,
  KNOWN_MODELS,
  bundledModelLicenses,
  findKnownModel,
  readGraphManifest,
  requireVerified,
  resolveModel,
  verifyModel,
} from '../../lib/models/index.js'
import { tinyCheckpoint, writeTinyFolder } from '../fixtures/tiny-checkpoint.js'

describe('the bundled model', () => {
  test('is what a name, an identifier and nothing resolve to', async () => {
    const model = await resolveModel(undefined)
    assert.equal(model.name, DEFAULT_MODEL)
    assert.deepEqual(await resolveModel('all-MiniLM-L6-v2'), model)
    assert.deepEqual(await resolveModel('sentence-transformers/all-MiniLM-L6-v2'), model)
    assert.deepEqual(await resolveModel(model.folder), model)
  })

  test('says its limits, its license and its self-test', async () => {
    const model = await resolveModel(undefined)
    assert.equal(model.dimensions, 384)
    assert.equal(model.maxSequenceLength, 256)
    assert.equal(model.pooling, 'mean')
    assert.equal(model.normalize, true)
    assert.equal(model.vocabularySize, 30522)
    assert.equal(model.license, 'Apache-2.0')
    assert.deepEqual(
      model.graphs.map((graph) => graph.precision),
      ['bf16'],
    )
    const squares = model.selfTest?.vector.reduce((sum, value) => sum + value * value, 0) ?? 0
    assert.ok(Math.abs(squares - 1) < 1e-6)
    assert.ok((model.selfTest?.minimumCosine.bf16 ?? 0) > 0.999)
  })

  test('is as its manifests say, and its parity is within the promise', async () => {
    const { folder } = await resolveModel(undefined)
    const verification = await verifyModel(folder)
    assert.deepEqual(
      verification.files.filter((file) => file.state !== 'ok'),
      [],
    )
    assert.ok(verification.files.some((file) => file.file === 'onnx/weights_bf16.safetensors'))
    const parity = (await readGraphManifest(folder))?.graphs[0]?.parity
    assert.ok(parity !== null && parity !== undefined && parity.worstCosine >= 0.9999 && parity.meanCosine >= 0.99998)
  })

  test('brings its license and notice', async () => {
    const [license] = await bundledModelLicenses()
    assert.match(license?.text ?? '', /Apache License/)
    assert.match(license?.notice ?? '', /sentence-transformers/)
  })
})

describe('a model that is asked for by name', () => {
  test('and is known but not here says so', async () => {
    for (const { name } of KNOWN_MODELS.filter((model) => !model.bundled)) {
      await assert.rejects(resolveModel(name), { code: 'MODEL_NOT_FOUND', message: new RegExp(`${name} does not come with gabion`) })
    }
  })

  test('and is unknown lists the known names', async () => {
    await assert.rejects(resolveModel('all-minilm'), {
      code: 'MODEL_NOT_FOUND',
      message: /'all-minilm' is no known model \(all-MiniLM-L6-v2, /,
    })
    await assert.rejects(resolveModel(''), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(resolveModel(1 as unknown as string), { code: 'INVALID_ARGUMENT', message: /model must be a string, got 1/ })
    assert.equal(findKnownModel('toString'), undefined)
  })
})

describe('verifying a folder', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-verify-'))
    await writeTinyFolder(folder, tinyCheckpoint())
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('without a manifest is refused', async () => {
    await assert.rejects(verifyModel(folder), { code: 'MODEL_NOT_FOUND', message: /no manifest\.json/ })
  })

  test('finds a changed, a longer and a missing file', async () => {
    await convertModel({ source: folder, out: folder, precisions: ['fp32', 'bf16'] })
    const at = (name: string): string => join(folder, 'onnx', name)
    const graph = await readFile(at('model_bf16.onnx'))
    graph[100] = (graph[100] as number) ^ 1
    await writeFile(at('model_bf16.onnx'), graph)
    await appendFile(at('weights_bf16.safetensors'), 'x')
    await rm(at('weights_fp32.safetensors'))
    const seen: string[] = []
    const verification = await verifyModel(folder, { onFile: ({ file, state }) => seen.push(`${file} ${state}`) })
    assert.deepEqual(seen.sort(), [
      'onnx/model_bf16.onnx differs',
      'onnx/model_fp32.onnx ok',
      'onnx/weights_bf16.safetensors differs',
      'onnx/weights_fp32.safetensors missing',
    ])
    assert.equal(verification.ok, false)
    assert.equal(verification.files.find(({ file }) => file === 'onnx/weights_bf16.safetensors')?.actual, null)
    assert.throws(() => { requireVerified(verification) }, { code: 'CHECKSUM_MISMATCH', message: /weights_fp32\.safetensors is missing/ }) // prettier-ignore
    await assert.rejects(resolveModel(folder), { code: 'MODEL_NOT_FOUND', message: /weights_fp32\.safetensors, which does not exist/ })
  })

  test('stops when it is aborted', async () => {
    await convertModel({ source: folder, out: folder })
    await assert.rejects(verifyModel(folder, { signal: AbortSignal.abort() }), { code: 'ABORTED' })
  })

  test('never follows a manifest out of the folder', async () => {
    await convertModel({ source: folder, out: folder })
    const file = join(folder, 'onnx', 'manifest.json')
    const manifest = await readFile(file, 'utf8')
    await writeFile(file, manifest.replace('"weights_bf16.safetensors"', '"../../weights_bf16.safetensors"'))
    await assert.rejects(verifyModel(folder), {
      code: 'MODEL_INVALID',
      message: /'(\w+\[0\]\.)?(weights\.)?file' must be a path inside the folder/,
    })
  })
})
