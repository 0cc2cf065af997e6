#!/usr/bin/env node
// Runs the prebuilt arm64 binaries: texts of the golden file through an emulated processor with dot products and one with matrix
// instructions too, beside the golden vectors and this machine's own.
//
// usage: npm run test:arm64 -- [--texts COUNT]

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { checkPrebuild } from '../check-prebuild.mjs'
import { StepFailed, isMain, reportFailure, root, run } from '../setup/run.mjs'
import { processors, runOnArm64 } from './emulator.mjs'

/** Beside the golden bounds, how near the vectors of two architectures are to each other: as near as two roundings of bf16 weights are. */
const BETWEEN_ARCHITECTURES = { fp32: 0.999999, bf16: 0.9998 }

async function main(count) {
  await checkPrebuild(join(root, 'prebuilds', 'linux-arm64'))
  const reference = join(root, 'build', 'models', 'all-MiniLM-L6-v2')
  // The bundled folder has no fp32 graph; the set-up for the tests makes a folder that has.
  const cases = [['bf16', '-'], ...(existsSync(join(reference, 'onnx')) ? [['fp32', reference]] : [])]
  const [head] = JSON.parse(gunzipSync(readFileSync(join(root, 'test/fixtures/vectors.golden.json.gz'))).toString('utf8'))
  const golden = floats(readFileSync(join(root, 'test/fixtures/vectors.golden.f32')))
  const failures = []
  for (const [precision, model] of cases) {
    const args = [join(root, 'scripts', 'arm64', 'embed-golden.mjs'), String(count), model, precision]
    const here = read(await run(process.execPath, args))
    for (const processor of Object.keys(processors)) {
      const there = read(await runOnArm64(processor, args, { PREBUILDS_ONLY: '1' }))
      if (there.arch !== 'arm64' || !there.libraries.every((file) => file.includes('prebuilds/linux-arm64'))) {
        throw new StepFailed(`expected the arm64 binaries of prebuilds/, ran ${there.arch} with ${there.libraries.join(', ')}`)
      }
      const toGolden = worstCosine(there.vectors, golden, head.dimensions)
      const toHere = worstCosine(there.vectors, here.vectors, head.dimensions)
      console.log(
        `${precision} on ${processors[processor].cpu} (${there.instructionSet}, Node ${there.node}): ${count} texts, worst cosine ${toGolden.toFixed(9)} to the golden vectors, ${toHere.toFixed(9)} to those of ${here.arch} (${here.instructionSet})`,
      )
      const bound = head.tolerance[precision].worst_cosine
      if (!(toGolden >= bound)) failures.push(`${precision} on ${processor}: ${toGolden} to the golden vectors, ${bound} is needed`)
      if (!(toHere >= BETWEEN_ARCHITECTURES[precision]))
        failures.push(`${precision} on ${processor}: ${toHere} to ${here.arch}, ${BETWEEN_ARCHITECTURES[precision]} is needed`)
    }
  }
  if (failures.length > 0) throw new StepFailed('arm64 computes something else', { lines: failures })
}

const floats = (bytes) => new Float32Array(Uint8Array.from(bytes).buffer)

function read(output) {
  const result = JSON.parse(output.trim().split('\n').at(-1))
  return { ...result, vectors: floats(Buffer.from(result.vectors, 'base64')) }
}

/** Over the rows of `vectors`; `others` may have more. */
function worstCosine(vectors, others, dimensions) {
  let worst = 1
  for (let start = 0; start < vectors.length; start += dimensions) {
    let [dot, squares, otherSquares] = [0, 0, 0]
    for (let index = start; index < start + dimensions; index++) {
      dot += vectors[index] * others[index]
      squares += vectors[index] ** 2
      otherSquares += others[index] ** 2
    }
    worst = Math.min(worst, dot / Math.sqrt(squares * otherSquares))
  }
  return worst
}

if (isMain(import.meta.url)) {
  try {
    const { values } = parseArgs({ options: { texts: { type: 'string', default: '12' } } })
    await main(Number(values.texts))
  } catch (error) {
    reportFailure(error)
  }
}
