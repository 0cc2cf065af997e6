// Every file that fuzzing starts from, and every file that ever was a finding, through its target.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { FUZZ_TARGETS, fuzzOnce } from './targets.js'

function filesOf(kind: string, name: string): string[] {
  const folder = fileURLToPath(new URL(`${kind}/${name}`, import.meta.url))
  try {
    return readdirSync(folder).map((file) => join(folder, file))
  } catch {
    return []
  }
}

for (const [name, target] of Object.entries(FUZZ_TARGETS)) {
  describe(name, () => {
    const seeds = filesOf('corpus', name)
    test('has files to start from', () => assert.ok(seeds.length > 0))
    for (const file of [...seeds, ...filesOf('regressions', name)]) {
      test(file.split('/').slice(-3).join('/'), () => fuzzOnce(target, readFileSync(file)))
    }
  })
}
