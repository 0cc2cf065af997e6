#!/usr/bin/env node
// Fuzzes everything that reads untrusted input, target by target: native code that reads tokenizers and texts (AddressSanitizer), the kernels against
// plain arithmetic, gabion's own graphs, tokens against Hugging Face's, every file reader in TypeScript, bodies over HTTP and gRPC.
// A finding exits with 1 and saves its input under build/fuzz/findings: fix it, and add the input to test/fuzz/regressions/TARGET.
//
// usage: npm run fuzz -- [--minutes N] [--seed N] [--jobs N] [TARGET…]
//   --minutes  of CPU time per target, 1 by default
//   --jobs     targets in parallel, by default as many as processors
//   tokenizer, text: with libFuzzer where clang++ has it, which the set-up does not install; otherwise unguided (native/fuzz/unguided.cpp)

import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn, spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { setUp } from './setup.mjs'
import { StepFailed, reportFailure, root, run } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const folder = join(root, 'build', 'fuzz')
const findings = join(folder, 'findings')
const architecture = { x64: 'x86_64-unknown-linux-gnu', arm64: 'aarch64-unknown-linux-gnu' }[process.arch]
// rustc flags that let libFuzzer see the branches of an input.
const coverage = ['level=4', 'inline-8bit-counters', 'pc-table'].map((part) => `-Cllvm-args=-sanitizer-coverage-${part}`)

const readers = [
  'safetensors',
  'onnx',
  'model',
  'projection',
  'import',
  'npy',
  'transcript',
  'artifact',
  'policy',
  'policy-set',
  'proxy-target',
]
const targets = {
  tokenizer: (options) => native('tokenizer', options),
  text: (options) => native('text', options),
  kernels: (options) => nativeSuite('kernels', 'RandomEncoders.*', options),
  graph: (options) => nativeSuite('graph', 'EncoderSessionTest.SurvivesDamagedGraphs', options),
  tokens,
  ...Object.fromEntries(readers.map((name) => [name, (options) => reader(name, options)])),
  service,
}
let crate
/** The tokenizer crate with coverage counters; both libFuzzer targets link it. */
function buildCrate(found) {
  crate ??= (async () => {
    const env = { ...buildEnvironment(found), RUSTFLAGS: ['-Cpasses=sancov-module', ...coverage].join(' ') }
    const profile = ['--config', 'profile.release.lto=false', '--config', 'profile.release.codegen-units=16']
    // With an explicit target, the flags do not apply to build scripts.
    const cargo = ['build', '--locked', '--release', ...profile, '--target', architecture, '--target-dir', join(folder, 'crate')]
    await run(found.cargo.path, [...cargo, '--manifest-path', 'native/tokenizer/Cargo.toml'], { log: 'fuzz', env })
    return join(folder, 'crate', architecture, 'release', 'libgabion_tokenizer.a')
  })()
  return crate
}

const clang = ['clang++', ...[21, 20, 19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`)]

async function native(name, options) {
  const seeds = join(folder, 'seeds', name)
  mkdirSync(seeds, { recursive: true })
  const definitions = gatherDefinitions()
  if (name === 'tokenizer') for (const [model, file] of definitions) copyFileSync(file, join(seeds, `${model}.json`))
  else texts.forEach((text, at) => writeFileSync(join(seeds, String(at)), Buffer.concat([Buffer.from([at, 8 * at]), Buffer.from(text)])))
  const kept = ['corpus', 'regressions'].map((kind) => join(root, 'test', 'fuzz', kind, name)).filter((one) => existsSync(one))
  const tokenizers = [...definitions.values(), join(root, 'models', 'all-MiniLM-L6-v2', 'tokenizer.json')].join(':')
  const env = { ...process.env, GABION_FUZZ_TOKENIZERS: tokenizers }
  const compiler = clang.find((one) => spawnSync(one, ['--version']).status === 0)
  return compiler === undefined ? unguided(name, [seeds, ...kept], env, options) : libFuzzer(name, [seeds, ...kept], env, compiler, options)
}

async function libFuzzer(name, seeds, env, compiler, { seconds, seed, found }) {
  const library = await buildCrate(found)
  const program = join(folder, name)
  const flags = ['-std=c++20', '-O1', '-g', '-fsanitize=fuzzer,address', '-Inative/tokenizer']
  await run(compiler, [...flags, `native/fuzz/${name}_fuzz.cpp`, library, '-lpthread', '-ldl', '-lm', '-o', program], { log: 'fuzz' })
  const corpus = join(folder, 'corpus', name)
  mkdirSync(corpus, { recursive: true })
  const limits = [`-max_total_time=${seconds}`, `-seed=${seed}`, '-max_len=65536', '-timeout=60', '-rss_limit_mb=4096']
  // Panics that the interface catches print one line each to standard error; only the summary counts.
  const quiet = ['-close_fd_mask=2', '-print_final_stats=1', '-verbosity=0', `-artifact_prefix=${findings}/${name}-`]
  return show(name, program, [corpus, ...seeds, ...limits, ...quiet], { env })
}

/** The crate as the addon links it, without counters: only the target itself is built under AddressSanitizer. */
async function unguided(name, seeds, env, { seconds, seed, found }) {
  const program = join(folder, `${name}-unguided`)
  const library = join(root, 'build', 'tokenizer', 'release', 'libgabion_tokenizer.a')
  const flags = ['-std=c++20', '-O1', '-g', '-fsanitize=address', '-Inative/tokenizer']
  const sources = [`native/fuzz/${name}_fuzz.cpp`, 'native/fuzz/unguided.cpp']
  await run(found['g++'].path, [...flags, ...sources, library, '-lpthread', '-ldl', '-lm', '-o', program], { log: 'fuzz' })
  const files = seeds.flatMap((one) => readdirSync(one).map((file) => join(one, file)))
  const options = { env: { ...env, ASAN_OPTIONS: 'hard_rss_limit_mb=4096:detect_leaks=0' }, quiet: true }
  return whileKept(name, (inputFile) => show(name, program, [seconds, seed, inputFile, ...files].map(String), options))
}

const texts = ['', 'A first text, текст 9:30!', '中文 日本語', 'e\u0301\u0323 ﬁ ǅ', '[CLS] <s> ▁ ##a', '\u200d👩‍👩‍👧', '\0\u0001\u2028']

/** The tokenizers of the tests' models, a small one of each supported kind: model → file. */
function gatherDefinitions() {
  const family = join(root, 'test', 'fixtures', 'family')
  const names = readdirSync(family, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return new Map(names.map(({ name }) => [name, join(family, name, 'tokenizer.json')]))
}

/** Tests of the native suite with a configurable duration. */
function nativeSuite(name, filter, { seconds, seed }) {
  const tests = join(root, 'build', 'native', 'native', 'test', 'gabion_tests')
  const env = { ...process.env, GABION_FUZZ_SECONDS: String(seconds), GABION_FUZZ_SEED: String(seed) }
  return show(name, tests, [`--gtest_filter=${filter}`, '--gtest_brief=1'], { env })
}

/** As `npm test` builds it. Each text is also truncated and windowed differently. */
function tokens({ seconds, seed, found }) {
  const args = ['test', '--locked', '--manifest-path', 'native/tokenizer/Cargo.toml', '--target-dir', 'build/cargo-test']
  const env = { ...buildEnvironment(found), GABION_FUZZ_SECONDS: String(seconds), GABION_SEED: String(seed) }
  return show('tokens', found.cargo.path, [...args, '--', '--ignored', '--nocapture', 'random_texts_for_a_while'], { env })
}

function reader(name, { seconds, seed }) {
  const options = ['--max-old-space-size=1024', '--import', 'tsx', 'test/fuzz/run.ts']
  return whileKept(name, (inputFile) => {
    // An input that hangs shows as a process that does not end.
    const timeout = 1000 * (10 * seconds + 120)
    return show(name, process.execPath, [...options, name, String(seconds), String(seed), findings, inputFile], { timeout })
  })
}

function service({ seconds, seed }) {
  const env = { ...process.env, GABION_FUZZ_BODIES: String(Math.max(100, 150 * seconds)), GABION_FUZZ_SEED: String(seed) }
  return show('service', process.execPath, ['--import', 'tsx', '--test', 'test/service/fuzz.test.ts'], { env })
}

/** Runs a program that writes each input to a file before reading it; the input of a program that hangs or crashes is a finding. */
async function whileKept(name, start) {
  const inputFile = join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `gabion-fuzz-${process.pid}-${name}`)
  try {
    await start(inputFile)
  } catch (error) {
    // 1: the program has saved its finding itself.
    if (existsSync(inputFile) && error.status !== 1) copyFileSync(inputFile, join(findings, `${name}-ended`))
    throw error
  } finally {
    rmSync(inputFile, { force: true })
  }
}

/** Runs a program to its end and prints its output in one piece, since others run in parallel; `quiet` drops its standard error unless it fails. */
function show(name, command, args, { env = process.env, timeout, quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], timeout, killSignal: 'SIGKILL' })
    const printed = { out: '', error: '' }
    for (const [stream, which] of [
      [child.stdout, 'out'],
      [child.stderr, quiet ? 'error' : 'out'],
    ]) {
      stream.setEncoding('utf8').on('data', (text) => {
        printed[which] = (printed[which] + text).slice(-100_000)
      })
    }
    child.on('error', reject)
    child.on('close', (status, signal) => {
      console.log(`\n── ${name} ──\n${printed.out.trimEnd()}`)
      if (status === 0) return resolve()
      if (quiet) console.log(printed.error.trimEnd())
      const message = `${name} ended with ${signal ?? status}: its input is in ${findings}, or its output has the seed`
      reject(Object.assign(new StepFailed(message), { status }))
    })
  })
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' }, jobs: { type: 'string' } },
    allowPositionals: true,
  })
  const unknown = positionals.find((name) => targets[name] === undefined)
  if (unknown !== undefined)
    throw new StepFailed(`there is no target ${unknown}: expected ${Object.keys(targets).join(', ')}`, { exitCode: 2 })
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) throw new StepFailed(`--minutes must be a number above 0, got ${values.minutes}`, { exitCode: 2 })
  const seed = values.seed === undefined ? 1 + Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
  const jobs = values.jobs === undefined ? availableParallelism() : Number(values.jobs)
  if (!Number.isInteger(jobs) || jobs < 1) throw new StepFailed(`--jobs must be an integer from 1, got ${values.jobs}`, { exitCode: 2 })
  const seconds = Math.max(1, Math.round(60 * minutes))
  await setUp({ purpose: 'test' })
  const { found } = await findTools('test')
  mkdirSync(findings, { recursive: true })
  const wanted = positionals.length > 0 ? positionals : Object.keys(targets)
  console.log(`seed ${seed}, ${seconds} s per target, ${jobs} in parallel: ${wanted.join(', ')}`)
  const queue = [...wanted]
  const failures = []
  const work = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      await targets[name]({ seconds, seed, found }).catch((error) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  if (failures.length > 0) throw new StepFailed(failures.map(({ message }) => message).join('\n'))
  console.log(`\nno finding in ${wanted.length} targets`)
}

try {
  await main()
} catch (error) {
  reportFailure(error)
}
