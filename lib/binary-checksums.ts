// Owns the comparison of native binaries with the checksums of their release. Loads no binary.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeCrypto } from './lazy.js'

/** File next to released binaries, in sha256sum's format. */
export const BINARY_CHECKSUMS = 'SHA256SUMS'

/** Result of one binary's check; the same shape as a model's verified files. */
export interface VerifiedBinary {
  /** Absolute path. */
  file: string
  state: 'ok' | 'missing' | 'differs'
  /** Hex SHA-256. */
  expected: string
}

/**
 * Compares every binary in a folder with its checksum.
 *
 * @returns null for a folder without checksums: binaries built from a checkout have none
 */
export function verifyBinaries(folder: string): VerifiedBinary[] | null {
  const list = contentOf(join(folder, BINARY_CHECKSUMS))?.toString('utf8')
  if (list === undefined) return null
  return [...list.matchAll(/^([0-9a-f]{64}) [ *]([\w.-]+)$/gm)].map(([, expected = '', name = '']) => {
    const file = join(folder, name)
    const content = contentOf(file)
    if (content === undefined) return { file, state: 'missing', expected }
    return { file, state: nodeCrypto().createHash('sha256').update(content).digest('hex') === expected ? 'ok' : 'differs', expected }
  })
}

function contentOf(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch {
    return undefined
  }
}
