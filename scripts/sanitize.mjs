#!/usr/bin/env node
// Runs native code under tools that find what tests cannot: memory errors, undefined behavior, data races, leaks.
//
// usage: node scripts/sanitize.mjs [--long] CHECK…
//   address  the native suite under AddressSanitizer (with leaks) and UndefinedBehaviorSanitizer
//   threads  the scheduler's tests, where threads meet, under ThreadSanitizer; --long: the native suite
//   addon    the addon under AddressSanitizer in Node: some lifecycles; --long: all of them
//   leaks    the scheduler's, projection's and tokenizer's tests under valgrind; --long: the native suite
//   miri     the C interface of the tokenizer crate under Miri (nightly Rust with miri and rust-src)
// CI runs address and threads. valgrind and Miri are not installed by the set-up: without them their checks report that and exit with 2.

import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { buildSanitizedAddon, buildTests, sanitizedAddon } from './build-native.mjs'
import { setUp } from './setup.mjs'
import { StepFailed, reportFailure, root, run } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const lifecycles = /dispose|abort|throwing-callback|terminate\(\) in phase batch, after 15|exit with promises pending, after 5 /
/** Kernel code does not allocate; its tests would take minutes under valgrind. */
const leakTests = 'Scheduler.Cancel*:Scheduler.StartsAgain*:Tokenizer*:Projection*'

const checks = {
  async address({ env }) {
    const folder = await buildTests('asan', { echo: true })
    const options = { UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1', ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1' }
    await nativeTests(join(folder, 'gabion_tests'), { ...env, ...options })
  },

  async threads({ env, long }) {
    const target = long ? 'gabion_tests' : 'gabion_thread_tests'
    const folder = await buildTests('tsan', { echo: true, target })
    // Encoder threads end by themselves after the last lease and are joined by whoever starts new ones; nobody does at the end.
    const options = { TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1:report_thread_leaks=0' }
    await nativeTests(join(folder, target), { ...env, ...options })
  },

  async addon({ env, long, found }) {
    await buildSanitizedAddon({ echo: true })
    const library = (await run(found['g++'].path, ['-print-file-name=libasan.so'])).trim()
    // One checks all output of a process, the other measures memory: the sanitizer disturbs both.
    const left = ['silence.test.ts', 'model-memory.test.ts']
    const files = readdirSync(join(root, 'test', 'lifecycle')).filter((name) => name.endsWith('.test.ts') && !left.includes(name))
    const pattern = long ? [] : [`--test-name-pattern=${lifecycles.source}`]
    const chosen = (long ? files : ['lifecycle.test.ts']).map((name) => join('test', 'lifecycle', name))
    // Memory that V8 holds at exit is not gabion's leak, and V8 handles SIGSEGV itself.
    const asan = 'detect_leaks=0:allow_user_segv_handler=1:strict_string_checks=1:exitcode=86'
    const options = { GABION_BINARIES: sanitizedAddon, LD_PRELOAD: library, ASAN_OPTIONS: asan, UBSAN_OPTIONS: 'halt_on_error=1' }
    show(process.execPath, ['--import', 'tsx', '--test', '--test-concurrency=1', ...pattern, ...chosen], { ...env, ...options })
  },

  async leaks({ env, long }) {
    if (spawnSync('valgrind', ['--version']).status !== 0)
      throw new StepFailed('valgrind is missing: apt-get install valgrind', { exitCode: 2 })
    const folder = await buildTests('release', { echo: true })
    // Only what can never be freed counts: the scheduler and ONNX Runtime live until the process ends, on purpose.
    const options = [
      '--leak-check=full',
      '--errors-for-leak-kinds=definite',
      '--show-leak-kinds=definite',
      '--error-exitcode=86',
      '-q',
      '--suppressions=native/test/valgrind.supp',
    ]
    show('valgrind', [...options, join(folder, 'gabion_tests'), `--gtest_filter=${long ? '*' : leakTests}`], env)
  },

  async miri({ env }) {
    const cargo = ['+nightly', 'miri']
    if (spawnSync('cargo', [...cargo, '--version'], { env }).status !== 0) {
      throw new StepFailed('Miri is missing: rustup component add --toolchain nightly miri rust-src', { exitCode: 2 })
    }
    const args = ['test', '--locked', '--manifest-path', 'native/tokenizer/Cargo.toml', '--target-dir', 'build/miri', 'interface']
    show('cargo', [...cargo, ...args], { ...env, MIRIFLAGS: '-Zmiri-disable-isolation', RUSTC: undefined, CARGO: undefined })
  },
}

/** Parts of a suite per processor: some tests take seconds, so that halves would end far apart. */
const PARTS = 4

/** Runs a suite in parts, as many at once as there are processors. */
async function nativeTests(program, env) {
  const processes = availableParallelism()
  const shards = PARTS * processes
  const part = async (index) => {
    const own = { ...env, GTEST_TOTAL_SHARDS: String(shards), GTEST_SHARD_INDEX: String(index) }
    const child = spawn(program, ['--gtest_brief=1'], { cwd: root, env: own, stdio: 'inherit' })
    const [status, signal] = await once(child, 'close')
    if (status !== 0) throw new StepFailed(`${basename(program)}, part ${index + 1} of ${shards}, ended with ${signal ?? status}`)
  }
  let next = 0
  const work = async () => {
    while (next < shards) await part(next++)
  }
  await Promise.all(Array.from({ length: processes }, work))
}

function show(command, args, env) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' })
  if (error !== undefined) throw new StepFailed(`${command} could not be started: ${error.message}`)
  if (status !== 0) throw new StepFailed(`${command} ended with ${signal ?? status}`)
}

async function main() {
  const { values, positionals } = parseArgs({ options: { long: { type: 'boolean', default: false } }, allowPositionals: true })
  const unknown = positionals.find((name) => checks[name] === undefined)
  if (unknown !== undefined || positionals.length === 0) {
    throw new StepFailed(`expected one or more of ${Object.keys(checks).join(', ')}${unknown === undefined ? '' : `, got ${unknown}`}`, {
      exitCode: 2,
    })
  }
  await setUp({ purpose: 'test' })
  const { found } = await findTools('test')
  const env = buildEnvironment(found)
  const rows = []
  for (const name of positionals) {
    console.log(`\n── ${name} ──`)
    const started = performance.now()
    await checks[name]({ env, found, long: values.long })
    rows.push(`ok ${name.padEnd(8)} ${((performance.now() - started) / 1000).toFixed(0).padStart(5)} s`)
  }
  console.log(`\n${rows.join('\n')}`)
}

try {
  await main()
} catch (error) {
  reportFailure(error)
}
