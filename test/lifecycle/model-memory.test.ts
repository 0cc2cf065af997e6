// Full-size models in bounded memory: converting takes a largest tensor's worth and no more, and loading what its weights take. Each in
// a process of its own; the models have random weights (scripts/golden/make_full_depth.py).

import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SafetensorsReader } from '../../lib/convert/safetensors-reader.js'
import { runChild } from './child.js'

const build = fileURLToPath(new URL('../../build', import.meta.url))
const MEGABYTE = 1e6

describe('a full-size model', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(build, '.memory-'))
  })
  after(() => rm(folder, { recursive: true }))

  async function peakOf(context: TestContext, args: string[], limit: number): Promise<void> {
    const { code, stdout, stderr } = await runChild('model-memory', args)
    assert.equal(code, 0, stderr)
    const { peakBytes } = JSON.parse(stdout) as { peakBytes: number }
    const said = `${args[0] ?? ''}: ${String(Math.round(peakBytes / MEGABYTE))} MB at most, ${String(Math.round(limit / MEGABYTE))} MB allowed`
    context.diagnostic(said)
    assert.ok(peakBytes <= limit, said)
  }

  // Running the graphs takes what loading takes, which of these two models only the larger one has room for within its bound.
  for (const [name, how] of [
    ['all-mpnet-base-v2', 'convert'],
    ['paraphrase-multilingual-mpnet-base-v2', 'measure'],
  ] as const) {
    test(`${name} is converted and loaded within its bounds`, async (context) => {
      const [source, out] = [join(build, 'full-depth', name), join(folder, name)]
      const reader = await SafetensorsReader.open(join(source, 'model.safetensors'))
      const largest = Math.max(...[...reader.tensors.values()].map(({ byteLength }) => byteLength))
      await reader.close()
      await peakOf(context, [how, source, out], 1.6 * largest + 200 * MEGABYTE)
      const weights = await stat(join(out, 'onnx', 'weights_fp32.safetensors'))
      await peakOf(context, ['load', out], 1.5 * weights.size + 300 * MEGABYTE)
      await rm(out, { recursive: true })
    })
  }
})
