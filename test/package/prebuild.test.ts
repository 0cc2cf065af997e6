// What is wrong with prebuilt binaries is found before they are packed.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const target = `${process.platform}-${process.arch}`
const place = mkdtempSync(join(tmpdir(), 'gabion-prebuild-'))
after(() => {
  rmSync(place, { recursive: true, force: true })
})

/** A copy of this machine's prebuilt files, in a folder named after a target. */
function copy(name = target): string {
  const folder = join(mkdtempSync(join(place, 'copy-')), name)
  cpSync(join(root, 'prebuilds', target), folder, { recursive: true })
  return folder
}

async function checked(folder: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [join(root, 'scripts/check-prebuild.mjs'), folder]).then(
    (ended) => ({ ...ended, code: 0 }),
    (error: unknown) => error as { code: number; stdout: string; stderr: string },
  )
}

/** Overwrites bytes of a binary, which must be there. */
function replace(file: string, from: string, to: string): void {
  const content = readFileSync(file)
  const at = content.indexOf(from, 0, 'latin1')
  assert.notEqual(at, -1, `${file} has no ${from}`)
  content.write(to, at, 'latin1')
  writeFileSync(file, content)
}

describe('the check of prebuilt binaries', () => {
  test('is content with those of this machine and says what they need', async () => {
    const { code, stdout, stderr } = await checked(copy())
    assert.equal(code, 0, stderr)
    assert.match(stdout, /gabion\.node: \d\.\d MB, glibc 2\.\d+, RUNPATH \$ORIGIN, needs /)
    assert.match(stdout, /libgabion_onnx\.so\.1: \d+\.\d MB, glibc 2\.28, GLIBCXX 3\.4\.\d+/)
  })

  const faults: [string, (folder: string) => void, RegExp][] = [
    [
      'a missing library',
      (folder) => {
        rmSync(join(folder, 'libgabion_onnx.so.1'))
      },
      /lacks libgabion_onnx\.so\.1.*npm run prebuild/s,
    ],
    [
      'an addon cut short',
      (folder) => {
        truncateSync(join(folder, 'gabion.node'), 1 << 20)
      },
      /gabion\.node: is truncated: has 1048576 bytes/,
    ],
    [
      'a checksum of another file',
      (folder) => {
        writeFileSync(join(folder, 'SHA256SUMS'), `${'0'.repeat(64)}  gabion.node\n`)
      },
      /gabion\.node: has the SHA-256 [0-9a-f]{64}, SHA256SUMS says 0{64}[^]*libgabion_onnx\.so\.1: .* says nothing/,
    ],
    [
      'no binary at all',
      (folder) => {
        writeFileSync(join(folder, 'gabion.node'), 'not found')
      },
      /gabion\.node: is not a 64-bit ELF file/,
    ],
    [
      'a search path of the builder',
      (folder) => {
        replace(join(folder, 'gabion.node'), '$ORIGIN\0', '/opt/li\0')
      },
      /runpath is \/opt\/li, expected \$ORIGIN/,
    ],
    [
      'another name of the library',
      (folder) => {
        replace(join(folder, 'libgabion_onnx.so.1'), 'libgabion_onnx.so.1\0', 'libonnxruntimex.so1\0')
      },
      /soname is libonnxruntimex\.so1, expected libgabion_onnx\.so\.1/,
    ],
    [
      'a newer C library asked for',
      (folder) => {
        replace(join(folder, 'libgabion_onnx.so.1'), 'GLIBC_2.28\0', 'GLIBC_2.99\0')
      },
      /needs glibc 2\.99, expected 2\.28 at most/,
    ],
    [
      'a path of the machine that built it',
      (folder) => {
        // At the end: where strings lie in the file depends on the compilers, which pack and share them.
        appendFileSync(join(folder, 'gabion.node'), '\0/home/ada/gabion/x/y\0')
      },
      /contains a path of the machine that built it: \/home\/ada\/gabion/,
    ],
  ]
  for (const [what, breakIt, expected] of faults) {
    test(`finds ${what}`, async () => {
      const folder = copy()
      breakIt(folder)
      const { code, stderr } = await checked(folder)
      assert.notEqual(code, 0)
      assert.match(stderr, expected)
    })
  }

  // A library for each system, which is no addon of gabion: what it needs and lacks is named.
  const foreign: [string, string, RegExp[]][] = [
    ['linux-x64-musl', 'linux/x64', [/needs .*libc\.so\.6.*, expected only libc\.so/, /needs glibc 2\.\d+, expected none/]],
    ['win32-x64', 'win32/x64', [/needs onnxruntime\.dll, MSVCP140\.dll, /]],
    [
      'darwin-arm64',
      'darwin/arm64',
      [/needs @rpath\/libonnxruntime\.1\.dylib, /, /exports _Z\w+, /, /needs the system 1\d\.\d, expected 13\.0 at most/],
    ],
    ['darwin-x64', 'win32/x64', [/is not a 64-bit Mach-O file/]],
    ['win32-x64', 'darwin/arm64', [/is not a PE file/]],
  ]
  for (const [name, from, findings] of foreign) {
    test(`judges a library of ${from} as ${name}`, async () => {
      const folder = join(mkdtempSync(join(place, 'foreign-')), name)
      mkdirSync(folder)
      const file = join(folder, 'gabion.node')
      cpSync(join(root, 'node_modules/onnxruntime-node/bin/napi-v6', from, 'onnxruntime_binding.node'), file)
      writeFileSync(join(folder, 'NOTICES.tokenizer.txt'), '')
      writeFileSync(join(folder, 'SHA256SUMS'), `${createHash('sha256').update(readFileSync(file)).digest('hex')}  gabion.node\n`)
      const { code, stderr } = await checked(folder)
      assert.equal(code, 1)
      for (const finding of findings) assert.match(stderr, finding)
    })
  }

  test('finds binaries of another processor', async () => {
    const other = process.arch === 'x64' ? 'linux-arm64' : 'linux-x64'
    const { code, stderr } = await checked(copy(other))
    assert.equal(code, 1)
    assert.match(stderr, /gabion\.node: is built for .*, expected /)
  })
})
