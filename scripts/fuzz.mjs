#!/usr/bin/env node
// Fuzzes what takes anything from anyone, target by target: native code that reads tokenizers and texts (libFuzzer, AddressSanitizer), the
// kernels beside plain arithmetic, our tokens beside Hugging Face's, every reader of files in TypeScript, bodies over HTTP and gRPC.
// A finding ends it with 1 and its input under build/fuzz/findings: mend it, and put the input under test/fuzz/regressions/TARGET.
//
// usage: npm run fuzz -- [--minutes N] [--seed N] [--short] [TARGET…]
//   --minutes  a target, 1 by default; --short takes 2 seconds for each target that needs no other compiler than the set-up's
//   tokenizer, text need clang++ with libFuzzer, which the set-up does not install

import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { setUp } from './setup.mjs'
import { StepFailed, reportFailure, root, run } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const folder = join(root, 'build', 'fuzz')
const findings = join(folder, 'findings')
const architecture = { x64: 'x86_64-unknown-linux-gnu', arm64: 'aarch64-unknown-linux-gnu' }[process.arch]
// What rustc must be told for libFuzzer to see which branches an input takes.
const coverage = ['level=4', 'inline-8bit-counters', 'pc-table'].map((part) => `-Cllvm-args=-sanitizer-coverage-${part}`)

const readers = ['safetensors', 'onnx', 'model', 'projection', 'import', 'npy', 'transcript', 'artefact', 'policy', 'policy-set']
const targets = {
  tokenizer: (options) => libFuzzer('tokenizer', options),
  text: (options) => libFuzzer('text', options),
  kernels,
  tokens,
  ...Object.fromEntries(readers.map((name) => [name, (options) => reader(name, options)])),
  service,
}
/** What --short leaves out: other compilers, and what the service's own tests send anyway. */
const longOnly = ['tokenizer', 'text', 'tokens', 'service']

let crate
/** The tokenizer crate with coverage counters; both libFuzzer targets lie over it. */
function buildCrate(found) {
  crate ??= (async () => {
    const env = { ...buildEnvironment(found), RUSTFLAGS: ['-Cpasses=sancov-module', ...coverage].join(' ') }
    const profile = ['--config', 'profile.release.lto=false', '--config', 'profile.release.codegen-units=16']
    // With a target of its own, the flags leave build scripts alone.
    const cargo = ['build', '--locked', '--release', ...profile, '--target', architecture, '--target-dir', join(folder, 'crate')]
    await run(found.cargo.path, [...cargo, '--manifest-path', 'native/tokenizer/Cargo.toml'], { log: 'fuzz', env })
    return join(folder, 'crate', architecture, 'release', 'libgabion_tokenizer.a')
  })()
  return crate
}

const clang = ['clang++', ...[21, 20, 19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`)]

async function libFuzzer(name, { seconds, seed, found }) {
  const compiler = clang.find((one) => spawnSync(one, ['--version']).status === 0)
  if (compiler === undefined)
    throw new StepFailed('clang++ with libFuzzer is missing: apt-get install clang libclang-rt-dev', { exitCode: 2 })
  const library = await buildCrate(found)
  const program = join(folder, name)
  const flags = ['-std=c++20', '-O1', '-g', '-fsanitize=fuzzer,address', '-Inative/tokenizer']
  await run(compiler, [...flags, `native/fuzz/${name}_fuzz.cpp`, library, '-lpthread', '-ldl', '-lm', '-o', program], { log: 'fuzz' })
  const [seeds, corpus] = [join(folder, 'seeds', name), join(folder, 'corpus', name)]
  for (const one of [seeds, corpus]) mkdirSync(one, { recursive: true })
  const definitions = gatherDefinitions()
  if (name === 'tokenizer') for (const [model, file] of definitions) copyFileSync(file, join(seeds, `${model}.json`))
  else texts.forEach((text, at) => writeFileSync(join(seeds, String(at)), Buffer.concat([Buffer.from([at, 8 * at]), Buffer.from(text)])))
  const kept = ['corpus', 'regressions'].map((kind) => join(root, 'test', 'fuzz', kind, name)).filter((one) => existsSync(one))
  const limits = [`-max_total_time=${seconds}`, `-seed=${seed}`, '-max_len=65536', '-timeout=20', '-rss_limit_mb=4096']
  // Panics that the interface catches are told on standard error, a line each; the summary is what counts.
  const quiet = ['-close_fd_mask=2', '-print_final_stats=1', '-verbosity=0', `-artifact_prefix=${findings}/${name}-`]
  const tokenizers = [...definitions.values(), join(root, 'models', 'all-MiniLM-L6-v2', 'tokenizer.json')].join(':')
  show(program, [corpus, seeds, ...kept, ...limits, ...quiet], { ...process.env, GABION_FUZZ_TOKENIZERS: tokenizers })
}

const texts = ['', 'A first text, текст 9:30!', '中文 日本語', 'e\u0301\u0323 ﬁ ǅ', '[CLS] <s> ▁ ##a', '\u200d👩‍👩‍👧', '\0\u0001\u2028']

/** The tokenizers of the tests' models, small ones of every kind that the family has: model → file. */
function gatherDefinitions() {
  const family = join(root, 'test', 'fixtures', 'family')
  const names = readdirSync(family, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return new Map(names.map(({ name }) => [name, join(family, name, 'tokenizer.json')]))
}

function kernels({ seconds, seed }) {
  const tests = join(root, 'build', 'native', 'native', 'test', 'gabion_tests')
  const env = { ...process.env, GABION_FUZZ_SECONDS: String(seconds), GABION_FUZZ_SEED: String(seed) }
  show(tests, ['--gtest_filter=RandomEncoders.*', '--gtest_brief=1'], env)
}

/** A minute sees some 20 million code points; each text is cut and windowed differently, too. */
function tokens({ seconds, seed, found }) {
  const args = ['test', '--release', '--locked', '--manifest-path', 'native/tokenizer/Cargo.toml', '--target-dir', 'build/cargo-test']
  const env = { ...buildEnvironment(found), GABION_CODE_POINTS: String(Math.round(300_000 * seconds)), GABION_SEED: String(seed) }
  show(found.cargo.path, [...args, '--', '--ignored', 'long_run_of_random_texts'], env)
}

function reader(name, { seconds, seed }) {
  const underWay = join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `gabion-fuzz-${process.pid}-${name}`)
  const args = ['--max-old-space-size=1024', '--import', 'tsx', 'test/fuzz/run.ts', name, String(seconds), String(seed), findings, underWay]
  // An input that never ends shows as a process that does not.
  const { status, signal } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    timeout: 1000 * (2 * seconds + 60),
    killSignal: 'SIGKILL',
  })
  if (status === null || (status !== 0 && status !== 1) || signal !== null) copyFileSync(underWay, join(findings, `${name}-ended`))
  rmSync(underWay, { force: true })
  if (status !== 0)
    throw new StepFailed(`${name}: ${signal === null ? `ended with ${status}` : `was ended by ${signal}`}; its input lies in ${findings}`)
}

function service({ seconds, seed }) {
  const env = { ...process.env, GABION_FUZZ_BODIES: String(Math.max(100, 150 * seconds)), GABION_FUZZ_SEED: String(seed) }
  show(process.execPath, ['--import', 'tsx', '--test', 'test/service/fuzz.test.ts'], env)
}

function show(command, args, env) {
  const { status, signal } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' })
  if (status !== 0)
    throw new StepFailed(`${args[0]} ended with ${signal ?? status}: what it ran on lies in ${findings}, or its output has the seed`)
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' }, short: { type: 'boolean', default: false } },
    allowPositionals: true,
  })
  const unknown = positionals.find((name) => targets[name] === undefined)
  if (unknown !== undefined)
    throw new StepFailed(`there is no target ${unknown}: expected ${Object.keys(targets).join(', ')}`, { exitCode: 2 })
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) throw new StepFailed(`--minutes must be a number above 0, got ${values.minutes}`, { exitCode: 2 })
  const seed = values.seed === undefined ? 1 + Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
  const seconds = values.short ? 2 : Math.max(1, Math.round(60 * minutes))
  await setUp({ purpose: 'test' })
  const { found } = await findTools('test')
  mkdirSync(findings, { recursive: true })
  const wanted = positionals.length > 0 ? positionals : Object.keys(targets).filter((name) => !values.short || !longOnly.includes(name))
  console.log(`seed ${seed}, ${seconds} s a target`)
  for (const name of wanted) {
    console.log(`\n── ${name} ──`)
    await targets[name]({ seconds, seed, found })
  }
  console.log(`\nno finding in ${wanted.length} targets`)
}

try {
  await main()
} catch (error) {
  reportFailure(error)
}
