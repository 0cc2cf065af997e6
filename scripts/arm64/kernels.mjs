#!/usr/bin/env node
// Cross-compiles the tests of the encoder's kernels for arm64 and runs them under emulation: every instruction set on a processor that
// has it. Needs neither Rust nor ONNX Runtime.
//
// usage: node scripts/arm64/kernels.mjs [--short]

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { StepFailed, isMain, reportFailure, root, run } from '../setup/run.mjs'
import { buildEnvironment, findTools } from '../setup/toolchain.mjs'
import { instructionSets } from './emulator.mjs'
import { arm64GoogleTest } from './packages.mjs'
import { requireTools } from './tools.mjs'

/** The instruction sets that the kernels must find on each processor, best first. */
const usable = {
  'cortex-a72': ['neon'],
  'neoverse-n1': ['neon-dotprod', 'neon'],
  'max,sve=off,pauth-impdef=on': ['neon-bf16', 'neon-i8mm', 'neon-dotprod', 'neon'],
}

const suite = 'Variants/Kernels'

/** Builds and runs them; `short` skips large shapes and long texts. Throws StepFailed. */
export async function checkKernels({ short = false } = {}) {
  await requireTools(['compiler', 'emulator'])
  const tests = await build()
  for (const [set, cpu] of Object.entries(instructionSets)) {
    const emulate = (args) => {
      const env = { ...process.env, GABION_FUZZ_SECONDS: short ? '1' : '20', GABION_ISA: set, ...(short ? { GABION_SHORT: '1' } : {}) }
      // Debian's cross tool chain includes the C and C++ libraries of its target.
      return run('qemu-aarch64-static', ['-cpu', cpu, '-L', '/usr/aarch64-linux-gnu', tests, ...args], { log: 'arm64-kernels', env })
    }
    const listed = await emulate(['--gtest_list_tests'])
    const found = [...new Set([...listed.matchAll(/^ {2}\w+\/(neon\w*)/gm)].map(([, name]) => name.replaceAll('_', '-')))]
    if (found.join() !== usable[cpu].join()) {
      throw new StepFailed(`${cpu} is to run ${usable[cpu].join(', ')}; the kernels found ${found.join(', ') || 'none'}`)
    }
    const started = Date.now()
    const output = await emulate([`--gtest_filter=${suite}.*/${set.replaceAll('-', '_')}:RandomEncoders.*`])
    const [, passed] = /\[ {2}PASSED {2}\] (\d+) tests/.exec(output) ?? []
    if (!(Number(passed) > 1)) throw new StepFailed(`no test of ${set} ran on ${cpu}`, { lines: output.trim().split('\n').slice(-20) })
    const [random] = /\d+ random encoders/.exec(output)
    console.log(`${set} on ${cpu}: ${passed} tests, ${random}, ${((Date.now() - started) / 1000).toFixed(0)} s`)
  }
}

async function build() {
  const { found } = await findTools('start')
  if (found.cmake === undefined || found.ninja === undefined) {
    throw new StepFailed('`npm run setup` installs CMake and Ninja first', { exitCode: 2 })
  }
  const folder = join(root, 'build', 'kernels-arm64')
  const definitions = [
    `CMAKE_TOOLCHAIN_FILE=${join(root, 'scripts', 'arm64', 'aarch64-linux-gnu.cmake')}`,
    'CMAKE_BUILD_TYPE=Release',
    'GABION_TESTS=ON',
    `GTest_DIR=${await arm64GoogleTest()}`,
  ]
  const env = { ...buildEnvironment(found) }
  for (const name of ['CC', 'CXX']) delete env[name] // the toolchain file names the compilers
  const options = { log: 'arm64-kernels', env }
  await run(found.cmake.path, ['-S', '.', '-B', folder, '-G', 'Ninja', ...definitions.map((definition) => `-D${definition}`)], options)
  await run(found.cmake.path, ['--build', folder, '--target', 'gabion_kernel_tests'], options)
  return join(folder, 'native', 'test', 'gabion_kernel_tests')
}

if (isMain(import.meta.url)) {
  try {
    const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
    await checkKernels(values)
  } catch (error) {
    reportFailure(error)
  }
}
