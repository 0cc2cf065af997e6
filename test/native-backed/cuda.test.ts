// The CUDA provider where it cannot be used: each reason is a coded error in words of its own, the process lives on, and doctor says what
// mends it. With a device a classifier's logits are compared with the processor's; what it costs is bench/cuda.mjs's part.

import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { Classifier, Embedder, isGabionError } from '../../lib/index.js'
import { CUDA_VARIABLE, findCudaLibrary } from '../../lib/embedding/cuda-library.js'
import { binariesLocation } from '../../lib/native-binaries.js'
import { gabion, jsonLines, temporaryFolder } from './cli-process.js'

const FILE = 'libonnxruntime_providers_cuda.so'
const binaries = binariesLocation()?.folder ?? ''

/** The path of a provider library in a folder that has a runtime. */
function nextToRuntime(): string {
  const folder = temporaryFolder()
  copyFileSync(join(binaries, 'libgabion_onnx.so.1'), join(folder, 'libonnxruntime.so.1.30.0'))
  return join(folder, FILE)
}

/** Why `cuda` alone cannot be had with this library. */
async function refusal(cudaLibrary: string): Promise<string> {
  try {
    using embedder = await Embedder.load({ providers: ['cuda'], cudaLibrary })
    assert.fail(`ran on ${embedder.info.provider}`)
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'PROVIDER_UNAVAILABLE', String(error))
    return (error as Error).message
  }
}

describe('a CUDA provider that cannot be used', () => {
  test('is named when it does not exist, as a file and as a folder', async () => {
    const folder = temporaryFolder()
    assert.match(await refusal(join(folder, 'nothing.so')), /the CUDA provider library .*nothing\.so does not exist/)
    assert.match(await refusal(folder), new RegExp(`${FILE} does not exist`))
  })

  test('is not used without the runtime that it came with', async () => {
    const file = join(temporaryFolder(), FILE)
    writeFileSync(file, '')
    assert.match(await refusal(file), /cannot be used without the ONNX Runtime that it came with: there is no libonnxruntime\.so\* in/)
    writeFileSync(join(dirname(file), 'libonnxruntime.so.1.30.0'), 'an error page')
    assert.match(await refusal(file), /without the ONNX Runtime that it came with: .*(invalid ELF header|file too short)/)
  })

  test('is told from a file that is no library', async () => {
    const file = nextToRuntime()
    writeFileSync(file, 'an error page')
    assert.match(await refusal(file), /could not be used with ONNX Runtime \d.*(invalid ELF header|file too short)/)
  })

  test('is told from a library that is no provider', async () => {
    const file = nextToRuntime()
    copyFileSync(join(binaries, 'libgabion_onnx.so.1'), file)
    assert.match(await refusal(file), /could not be used with ONNX Runtime \d.*CreateEpFactories/)
  })

  test('leaves the next provider of the wish list, with the reason', async () => {
    using embedder = await Embedder.load({ providers: ['cuda', 'cpu'], cudaLibrary: '/nowhere/provider.so' })
    assert.equal(embedder.info.provider, 'cpu')
    assert.deepEqual(
      embedder.info.skippedProviders.map(({ provider }) => provider),
      ['cuda'],
    )
    assert.match(embedder.info.skippedProviders[0]?.reason ?? '', /\/nowhere\/provider\.so does not exist/)
    assert.equal((await embedder.embed('The kettle is on.')).length, 384)
  })

  test('is explained by doctor, with a command', async () => {
    const { code, stdout } = await gabion(['doctor', '--json', '--provider', 'cuda'], { env: { [CUDA_VARIABLE]: '/nowhere/provider.so' } })
    const found = jsonLines(stdout).find(({ name }) => name === 'provider')
    assert.equal(code, 1)
    assert.match(String(found?.detail), /PROVIDER_UNAVAILABLE: .*\/nowhere\/provider\.so does not exist/)
    assert.match(String(found?.advice), /pip install "onnxruntime-gpu==\d.*--provider cpu/)
  })
})

describe('a classifier with the CUDA provider', () => {
  // It has an export, which is what a device runs.
  const folder = 'build/classifiers/deberta-v2'

  test('that cannot be used leaves the next one, with the reason', async () => {
    using classifier = await Classifier.load(folder, { providers: ['cuda', 'cpu'], cudaLibrary: '/nowhere/provider.so' })
    assert.equal(classifier.info.provider, 'cpu')
    assert.match(classifier.info.skippedProviders[0]?.reason ?? '', /\/nowhere\/provider\.so does not exist/)
    assert.equal((await classifier.classify('The kettle is on.')).scores.length, classifier.info.labels.length)
  })

  test('gives the logits of the processor on a device', async (context) => {
    const load = (provider: 'cuda' | 'cpu'): Promise<Classifier> => Classifier.load(folder, { providers: [provider] })
    const onDevice = await load('cuda').catch((error: unknown) => {
      if (!isGabionError(error) || error.code !== 'PROVIDER_UNAVAILABLE') throw error
      context.skip(error.message)
      return null
    })
    if (onDevice === null) return
    using device = onDevice
    using processor = await load('cpu')
    const inputs = ['The kettle is on.', { text: 'May I have a refund?', pair: 'Yes, of course.' }, 'word '.repeat(90)]
    const [ofDevice, ofProcessor] = await Promise.all([device, processor].map((classifier) => classifier.classifyBatch(inputs)))
    for (const [at, { logits }] of ofDevice!.entries()) {
      // Devices may multiply in TF32, with 10 bits of mantissa.
      for (const [label, logit] of logits.entries()) assert.ok(Math.abs(logit - (ofProcessor![at]!.logits[label] as number)) < 0.01)
    }
  })
})

describe('the CUDA provider library', () => {
  test('is taken from the option, then the variable, then a Python environment', () => {
    const environment = temporaryFolder()
    const capi = join(environment, 'lib', 'python3.12', 'site-packages', 'onnxruntime', 'capi')
    mkdirSync(capi, { recursive: true })
    writeFileSync(join(capi, FILE), '')
    const env = { VIRTUAL_ENV: environment }
    assert.equal(findCudaLibrary(undefined, env), join(capi, FILE))
    assert.equal(findCudaLibrary(undefined, { ...env, [CUDA_VARIABLE]: '/elsewhere/own.so' }), '/elsewhere/own.so')
    assert.equal(findCudaLibrary(capi, { ...env, [CUDA_VARIABLE]: '/elsewhere/own.so' }), join(capi, FILE))
  })
})
