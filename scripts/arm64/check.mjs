#!/usr/bin/env node
// Tests the arm64 build under emulation: the kernel tests, and the binaries of prebuilds/ on texts of the golden file, every
// instruction set on a processor that has it, against the golden vectors and this machine's vectors. Builds what is missing.
//
// usage: npm run test:arm64 -- [--texts COUNT] [--short]      --short: six texts, small shapes in the tests of the
// kernels, and without the tests that compare with ONNX Runtime's operators

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { checkPrebuild } from '../check-prebuild.mjs'
import { prebuild } from '../prebuild.mjs'
import { StepFailed, isMain, reportFailure, root, run } from '../setup/run.mjs'
import { buildArm64Tests } from './cross-build.mjs'
import { instructionSets, runNodeOnArm64, runOnArm64 } from './emulator.mjs'
import { checkKernels } from './kernels.mjs'

/** By precision: minimum cosine to the golden vectors, and to the vectors of another architecture. */
const bounds = {
  fp32: { golden: 0.9999999, between: 0.9999999 },
  bf16: { golden: 0.9999, between: 0.9999 },
  int8: { golden: 0.998, between: 0.998 },
}

async function main({ texts, short }) {
  await checkKernels({ short })
  if (!short) await checkEncoderSession()
  const folder = join(root, 'prebuilds', 'linux-arm64')
  if (!existsSync(folder)) await prebuild({ target: 'linux-arm64' })
  await checkPrebuild(folder)
  if (!existsSync(join(root, 'dist', 'index.js'))) await run('npm', ['run', 'build:ts'], { log: 'arm64-dist' })
  const reference = join(root, 'build', 'models', 'all-MiniLM-L6-v2')
  // The bundled folder has no fp32 weights; the test set-up makes a folder with them.
  const cases = ['bf16=-', 'int8=-', ...(existsSync(join(reference, 'onnx')) ? [`fp32=${reference}`] : [])]
  const [head] = JSON.parse(gunzipSync(readFileSync(join(root, 'test/fixtures/vectors.golden.json.gz'))).toString('utf8'))
  const golden = floats(readFileSync(join(root, 'test/fixtures/vectors.golden.f32')))
  const args = [join(root, 'scripts', 'arm64', 'embed-golden.mjs'), String(texts ?? (short ? 6 : 24)), ...cases]
  const here = JSON.parse(lastLine(await run(process.execPath, args)))
  const failures = []
  for (const [set, cpu] of Object.entries(instructionSets)) {
    const there = JSON.parse(lastLine(await runNodeOnArm64(set, args, { PREBUILDS_ONLY: '1' })))
    if (there.arch !== 'arm64' || !there.libraries.every((file) => file.includes('prebuilds/linux-arm64'))) {
      throw new StepFailed(`expected the arm64 binaries of prebuilds/, ran ${there.arch} with ${there.libraries.join(', ')}`)
    }
    for (const [index, { precision, instructionSet, vectors }] of there.results.entries()) {
      const own = floats(Buffer.from(vectors, 'base64'))
      const other = here.results[index]
      const toGolden = cosines(own, (row) => golden.subarray(there.rows[row] * head.dimensions), head.dimensions)
      const otherVectors = floats(Buffer.from(other.vectors, 'base64'))
      const toHere = cosines(own, (row) => otherVectors.subarray(row * head.dimensions), head.dimensions)
      console.log(
        `${set} on ${cpu} (Node ${there.node}), ${precision}: ${there.rows.length} texts, cosine to the golden vectors worst ${toGolden.worst.toFixed(7)} mean ${toGolden.mean.toFixed(7)}, to ${here.arch} (${other.instructionSet}) worst ${toHere.worst.toFixed(7)}`,
      )
      const what = `${precision} on ${set}`
      if (instructionSet !== set) failures.push(`${what}: ran ${instructionSet}`)
      const { golden: least, between } = bounds[precision]
      if (!(toGolden.worst >= least)) failures.push(`${what}: ${toGolden.worst} to the golden vectors, ${least} is needed`)
      if (!(toHere.worst >= between)) failures.push(`${what}: ${toHere.worst} to ${here.arch}, ${between} is needed`)
    }
  }
  if (failures.length > 0) throw new StepFailed('arm64 computes different vectors', { lines: failures })
}

/** The encoder of a model against the graph of standard operators, with every instruction set of each processor. */
async function checkEncoderSession() {
  const tests = await buildArm64Tests()
  for (const set of ['neon', 'neon-dotprod', 'neon-bf16']) {
    const output = await runOnArm64(set, [tests, '--gtest_filter=EncoderSessionTest.*'])
    const [, passed] = /\[ {2}PASSED {2}\] (\d+) tests/.exec(output) ?? []
    if (!(Number(passed) > 1) || output.includes('SKIPPED'))
      throw new StepFailed(`the encoder's tests did not run on ${instructionSets[set]}`)
    console.log(`encoder on ${instructionSets[set]}: ${passed} tests`)
  }
}

const floats = (bytes) => new Float32Array(Uint8Array.from(bytes).buffer)
const lastLine = (output) => output.trim().split('\n').at(-1)

/** Cosines of the rows of `vectors` with `otherOf(row)`, which may be longer than a row. */
function cosines(vectors, otherOf, dimensions) {
  const all = []
  for (let row = 0; row * dimensions < vectors.length; row++) {
    const other = otherOf(row)
    let [dot, squares, otherSquares] = [0, 0, 0]
    for (let index = 0; index < dimensions; index++) {
      const value = vectors[row * dimensions + index]
      dot += value * other[index]
      squares += value ** 2
      otherSquares += other[index] ** 2
    }
    all.push(dot / Math.sqrt(squares * otherSquares))
  }
  return { worst: Math.min(...all), mean: all.reduce((sum, value) => sum + value, 0) / all.length }
}

if (isMain(import.meta.url)) {
  try {
    const { values } = parseArgs({ options: { texts: { type: 'string' }, short: { type: 'boolean', default: false } } })
    await main(values)
  } catch (error) {
    reportFailure(error)
  }
}
