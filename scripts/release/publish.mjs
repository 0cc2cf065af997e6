#!/usr/bin/env node
// Publishes the packages of pack.mjs: those of binaries first, so that the main package never lacks them. Meant for the release
// workflow, whose identity signs the packages' provenance.
//
// usage: node scripts/release/publish.mjs [--dry-run]

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StepFailed, isMain, reportFailure, root, run } from '../setup/run.mjs'
import { checkPackages } from './check.mjs'
import { pack, targets } from './pack.mjs'

async function main(dryRun) {
  const { version, repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const problems = []
  if ((await run('git', ['status', '--porcelain'])).trim() !== '') problems.push('the checkout has changes that are not committed')
  const tags = (await run('git', ['tag', '--points-at', 'HEAD'])).trim().split('\n')
  if (!tags.includes(`v${version}`)) problems.push(`the commit has no tag v${version}`)
  if (!readFileSync(join(root, 'CHANGELOG.md'), 'utf8').includes(version)) problems.push(`CHANGELOG.md does not mention ${version}`)
  // The registry compares it with the repository that the workflow's identity names.
  if (repository === undefined) problems.push('package.json names no repository, which provenance needs')
  const packed = await pack()
  const absent = targets.filter((target) => packed.platforms[target] === undefined)
  if (absent.length > 0) problems.push(`binaries are missing for ${absent.join(', ')}`)
  await checkPackages(packed.main, Object.values(packed.platforms))
  for (const problem of problems) console.log(`not ready: ${problem}`)
  if (problems.length > 0 && !dryRun) throw new StepFailed('Nothing was published', { exitCode: 2 })
  const options = ['--access', 'public', ...(dryRun ? ['--dry-run'] : ['--provenance'])]
  for (const file of [...Object.values(packed.platforms), packed.main]) {
    console.log(await run('npm', ['publish', file, ...options], { echo: false }))
  }
  if (problems.length > 0) throw new StepFailed('Not ready to be published')
}

if (isMain(import.meta.url)) {
  try {
    await main(process.argv.includes('--dry-run'))
  } catch (error) {
    reportFailure(error)
  }
}
