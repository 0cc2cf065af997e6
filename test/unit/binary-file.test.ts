// What the heads of native binaries tell, read from those of onnxruntime-node for every system.

import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { readBinaryFile } from '../../lib/binary-file.js'
import { HOST_LIBC, HOST_TARGET } from '../../lib/host-target.js'

const binaries = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')), 'bin', 'napi-v6')
const place = mkdtempSync(join(tmpdir(), 'gabion-binary-'))
after(() => {
  rmSync(place, { recursive: true, force: true })
})

const files = [
  { file: 'linux/x64/onnxruntime_binding.node', platform: 'linux', arch: 'x64', libc: 'glibc' },
  { file: 'linux/arm64/onnxruntime_binding.node', platform: 'linux', arch: 'arm64', libc: 'glibc' },
  { file: 'win32/x64/onnxruntime_binding.node', platform: 'win32', arch: 'x64', libc: null },
  { file: 'win32/arm64/onnxruntime_binding.node', platform: 'win32', arch: 'arm64', libc: null },
  { file: 'darwin/arm64/onnxruntime_binding.node', platform: 'darwin', arch: 'arm64', libc: null },
]

function copyOf(file: string): string {
  const copy = join(place, file.replaceAll('/', '-'))
  copyFileSync(join(binaries, file), copy)
  return copy
}

describe('the head of a binary', () => {
  for (const { file, ...target } of files) {
    test(`of ${file}`, () => {
      const path = join(binaries, file)
      const found = readBinaryFile(path)
      assert.deepEqual(found.target, target)
      assert.equal(found.bytes, statSync(path).size)
      assert.ok(found.expectedBytes <= found.bytes)
      // Behind the last part lies at most a signature.
      assert.ok(found.bytes - found.expectedBytes < 20_000)
    })

    test(`of ${file}, cut short`, () => {
      const copy = copyOf(file)
      truncateSync(copy, 100_000)
      const { target: cut, bytes, expectedBytes } = readBinaryFile(copy)
      assert.equal(cut?.platform, target.platform)
      assert.equal(bytes, 100_000)
      assert.ok(expectedBytes > bytes)
    })
  }

  test('of a library for musl', () => {
    const copy = copyOf('linux/x64/onnxruntime_binding.node')
    const content = readFileSync(copy)
    const at = content.indexOf('libc.so.6\0')
    for (const name of ['libc.so\0', 'libc.musl-x86_64.so.1\0']) {
      // The longer name overwrites the next ones, which are not looked at.
      content.write(name, at, 'latin1')
      writeFileSync(copy, content)
      assert.equal(readBinaryFile(copy).target?.libc, 'musl', name)
    }
  })

  test('of something else', () => {
    assert.equal(readBinaryFile(join(binaries, '..', '..', 'package.json')).target, null)
    const empty = join(place, 'empty')
    writeFileSync(empty, '')
    assert.deepEqual(readBinaryFile(empty), { target: null, bytes: 0, expectedBytes: 64 })
  })

  test('damaged in any way never throws', () => {
    const heads = files.map(({ file }) => readFileSync(join(binaries, file)).subarray(0, 4096))
    const damaged = join(place, 'damaged')
    fc.assert(
      fc.property(fc.constantFrom(...heads), fc.array(fc.tuple(fc.nat(1023), fc.nat(255)), { maxLength: 20 }), (head, changes) => {
        const copy = Buffer.from(head)
        for (const [at, value] of changes) copy[at] = value
        writeFileSync(damaged, copy)
        assert.equal(readBinaryFile(damaged).bytes, copy.length)
      }),
      { numRuns: 300 },
    )
  })

  test('tells what this process runs on', () => {
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
    if (process.platform === 'linux') assert.equal(HOST_LIBC, header.glibcVersionRuntime === undefined ? 'musl' : 'glibc')
    assert.ok(HOST_TARGET.startsWith(`${process.platform}-${process.arch}`))
  })
})
