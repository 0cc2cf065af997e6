#!/usr/bin/env node
// Fuzzes the native code that reads files of anyone's making: builds the tokenizer crate with coverage counters and the libFuzzer target
// over it, and runs that for a while. A finding ends it with its input under build/fuzz/. Needs clang++, which the set-up does not install.
//
// usage: npm run fuzz -- [--seconds N]     default 60

import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { StepFailed, reportFailure, root, run } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const folder = join(root, 'build', 'fuzz')
const target = { x64: 'x86_64-unknown-linux-gnu', arm64: 'aarch64-unknown-linux-gnu' }[process.arch]
// What rustc must be told for libFuzzer to see which branches an input takes.
const coverage = ['level=4', 'inline-8bit-counters', 'pc-table'].map((part) => `-Cllvm-args=-sanitizer-coverage-${part}`)

async function buildTarget() {
  const clang = ['clang++', ...[21, 20, 19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`)].find(
    (name) => spawnSync(name, ['--version']).status === 0,
  )
  if (clang === undefined) throw new StepFailed('clang++ with libFuzzer is missing: apt-get install clang libclang-rt-dev', { exitCode: 2 })
  const { found, missing } = await findTools('start')
  if (missing.length > 0)
    throw new StepFailed(`missing: ${missing.map(({ what }) => what).join(', ')}; run npm run setup first`, { exitCode: 2 })
  const env = { ...buildEnvironment(found), RUSTFLAGS: ['-Cpasses=sancov-module', ...coverage].join(' ') }
  const profile = ['--config', 'profile.release.lto=false', '--config', 'profile.release.codegen-units=16']
  // With a target of its own, the flags leave build scripts alone.
  const cargo = ['build', '--locked', '--release', ...profile, '--target', target, '--target-dir', join(folder, 'crate')]
  await run(found.cargo.path, [...cargo, '--manifest-path', 'native/tokenizer/Cargo.toml'], { log: 'fuzz', env })
  const library = join(folder, 'crate', target, 'release', 'libgabion_tokenizer.a')
  const program = join(folder, 'tokenizer')
  const flags = ['-std=c++20', '-O1', '-g', '-fsanitize=fuzzer,address', '-Inative/tokenizer']
  await run(clang, [...flags, 'native/fuzz/tokenizer_fuzz.cpp', library, '-lpthread', '-ldl', '-lm', '-o', program], { log: 'fuzz' })
  return program
}

/** The tokenizers of the tests' models: small ones of every kind that the family has. */
function gatherSeeds() {
  const seeds = join(folder, 'seeds')
  mkdirSync(seeds, { recursive: true })
  mkdirSync(join(folder, 'corpus'), { recursive: true })
  const family = join(root, 'test', 'fixtures', 'family')
  const names = readdirSync(family, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const { name } of names) copyFileSync(join(family, name, 'tokenizer.json'), join(seeds, `${name}.json`))
  return seeds
}

try {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } })
  const program = await buildTarget()
  const options = [`-max_total_time=${values.seconds}`, '-max_len=65536', '-timeout=20', '-rss_limit_mb=4096', '-print_final_stats=1']
  // Panics that the interface catches are told on standard error, a line each; the summary is what counts.
  const args = [join(folder, 'corpus'), gatherSeeds(), ...options, '-close_fd_mask=2', `-artifact_prefix=${folder}/`]
  const { status } = spawnSync(program, args, { stdio: 'inherit' })
  if (status !== 0) throw new StepFailed(`the fuzzer ended with ${status}: its input lies in build/fuzz/`)
  console.log(`no finding in ${values.seconds} s`)
} catch (error) {
  reportFailure(error)
}
