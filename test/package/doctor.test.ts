// `gabion doctor` in installations that are broken on purpose: it names what is wrong and prints the command that mends it.

import assert from 'node:assert/strict'
import { chmodSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { TARGET, canBeStopped, doctor, install, type Installation } from './installation.js'

/** How each is broken, the check that fails, what it says, and what it advises. */
const faults: {
  what: string
  breakIt: (it: Installation) => void
  check: string
  says: RegExp
  advises: RegExp
  permissions?: true
}[] = [
  {
    what: 'a missing package of binaries',
    breakIt: ({ platformFolder }) => {
      rmSync(platformFolder, { recursive: true })
    },
    check: 'binaries',
    says: new RegExp(`nor a package gabion-${TARGET} has binaries for ${TARGET}`),
    advises: new RegExp(`npm install --force gabion-${TARGET}@\\d`),
  },
  {
    what: 'a missing addon',
    breakIt: ({ addon }) => {
      rmSync(addon)
    },
    check: 'binaries',
    says: /gabion\.node is missing/,
    advises: new RegExp(`npm install --force gabion-${TARGET}@\\d`),
  },
  {
    what: 'a missing runtime library',
    breakIt: ({ runtime }) => {
      rmSync(runtime)
    },
    check: 'binaries',
    says: /libgabion_onnx\.so\.1 is missing/,
    advises: /npm install --force/,
  },
  {
    what: 'an addon that was cut short',
    breakIt: ({ addon }) => {
      truncateSync(addon, 100_000)
    },
    check: 'binaries',
    says: /gabion\.node is truncated: 100000 of \d+ bytes/,
    advises: /npm install --force/,
  },
  {
    what: 'a runtime library that was cut short',
    breakIt: ({ runtime }) => {
      truncateSync(runtime, 1_000_000)
    },
    check: 'binaries',
    says: /libgabion_onnx\.so\.1 is truncated/,
    advises: /npm install --force/,
  },
  {
    what: 'an addon for another processor',
    breakIt: ({ addon }) => {
      const content = readFileSync(addon)
      // e_machine: AArch64 is 183, x86-64 is 62.
      content.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18)
      writeFileSync(addon, content)
    },
    check: 'binaries',
    says: /gabion\.node is for linux-(arm64|x64), this Node is for linux-(x64|arm64)/,
    advises: /npm install --force/,
  },
  {
    what: 'an error page in place of the addon',
    breakIt: ({ addon }) => {
      writeFileSync(addon, '<html><body>403 Forbidden: the proxy says no</body></html>'.padEnd(200))
    },
    check: 'binaries',
    says: /gabion\.node is not a binary \(200 bytes\)/,
    advises: /npm install --force/,
  },
  {
    what: 'binaries of another version',
    breakIt: ({ platformFolder }) => {
      writeFileSync(join(platformFolder, 'package.json'), JSON.stringify({ name: `gabion-${TARGET}`, version: '9.9.9' }))
    },
    check: 'binaries',
    says: /is version 9\.9\.9, gabion is \d/,
    advises: /npm install --force/,
  },
  {
    what: 'binaries that this user may not read',
    breakIt: ({ addon }) => {
      chmodSync(addon, 0o600)
      chmodSync(dirname(addon), 0o000)
    },
    check: 'binaries',
    says: /gabion\.node may not be read by this user/,
    advises: /chmod -R a\+rX '/,
    permissions: true,
  },
  {
    what: 'a library that is whole but no ONNX Runtime',
    breakIt: ({ addon, runtime }) => {
      writeFileSync(runtime, readFileSync(addon))
    },
    check: 'runtime',
    says: /RUNTIME_INCOMPATIBLE: .*is not an ONNX Runtime library/,
    advises: /reinstall it/,
  },
  {
    what: 'weights that were changed',
    breakIt: ({ packageFolder }) => {
      const file = join(packageFolder, 'models/all-MiniLM-L6-v2/onnx/weights_bf16.safetensors')
      const content = readFileSync(file)
      content[content.length - 5] = (content.at(-5) ?? 0) ^ 1
      writeFileSync(file, content)
    },
    check: 'checksums',
    says: /CHECKSUM_MISMATCH: .*weights_bf16\.safetensors differs/,
    advises: /npm install --force gabion/,
  },
  {
    what: 'weights that were cut short',
    breakIt: ({ packageFolder }) => {
      truncateSync(join(packageFolder, 'models/all-MiniLM-L6-v2/onnx/weights_bf16.safetensors'), 1_000_000)
    },
    check: 'checksums',
    says: /CHECKSUM_MISMATCH: .*weights_bf16\.safetensors differs/,
    advises: /npm install --force gabion/,
  },
  {
    what: 'weights of the guard that were changed',
    breakIt: ({ packageFolder }) => {
      const file = join(packageFolder, 'models/guard/model.safetensors')
      const content = readFileSync(file)
      content[content.length - 5] = (content.at(-5) ?? 0) ^ 1
      writeFileSync(file, content)
    },
    check: 'guard',
    says: /CHECKSUM_MISMATCH: .*model\.safetensors differs/,
    advises: /npm install --force gabion/,
  },
  {
    what: 'a model folder that this user may not read',
    breakIt: ({ packageFolder }) => {
      chmodSync(join(packageFolder, 'models/all-MiniLM-L6-v2'), 0o000)
    },
    check: 'model',
    says: /all-MiniLM-L6-v2/,
    advises: /chmod -R a\+rX '/,
    permissions: true,
  },
]

describe('gabion doctor in an installation', () => {
  test('that is whole finds everything in order, without a home', async () => {
    const { code, lines, stderr } = await doctor(install())
    assert.deepEqual(
      lines.filter(({ status }) => status === 'fail'),
      [],
      stderr,
    )
    assert.equal(code, 0)
    assert.match(lines.find(({ name }) => name === 'binaries')?.detail ?? '', new RegExp(`node_modules/gabion-${TARGET}/prebuilds`))
  })

  test('on a platform without binaries says so, and what builds them', async () => {
    const elsewhere = "Object.defineProperty(process,'arch',{value:'riscv64'})"
    const { code, lines } = await doctor(install(), { env: { NODE_OPTIONS: `--import=data:text/javascript,${elsewhere}` } })
    assert.equal(code, 1)
    const of = (name: string): (typeof lines)[number] | undefined => lines.find((line) => line.name === name)
    assert.equal(of('platform')?.status, 'warn')
    assert.match(of('platform')?.advice ?? '', /no binaries for it, only for linux-x64, /)
    assert.match(of('binaries')?.detail ?? '', /none are published for linux-riscv64/)
    assert.match(of('binaries')?.advice ?? '', /npm run setup/)
  })

  for (const { what, breakIt, check, says, advises, permissions = false } of faults) {
    test(`finds ${what}`, async (context) => {
      if (permissions && !(await canBeStopped())) {
        context.skip('no user whom permissions stop can read this checkout')
        return
      }
      const installation = install({ ownModel: ['checksums', 'guard', 'model'].includes(check) })
      breakIt(installation)
      const { code, lines, stderr } = await doctor(installation, { stopped: permissions })
      const found = lines.find(({ name }) => name === check)
      assert.equal(code, 1, stderr)
      assert.equal(found?.status, 'fail', JSON.stringify(lines))
      assert.match(found.detail, says)
      assert.match(found.advice ?? '', advises)
    })
  }
})
