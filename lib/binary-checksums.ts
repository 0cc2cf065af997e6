// Owns the comparison of native binaries with the checksums that were written when they were released. Loads nothing.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeCrypto } from './lazy.js'

/** Beside released binaries, in the form of sha256sum. */
export const BINARY_CHECKSUMS = 'SHA256SUMS'

/** What became of one binary; the form of a model's verified files. */
export interface VerifiedBinary {
  /** Absolute path. */
  file: string
  state: 'ok' | 'missing' | 'differs'
  /** Hex SHA-256. */
  expected: string
}

/**
 * Compares every binary of a folder with its checksum.
 *
 * @returns null for a folder without checksums: binaries that were built in this checkout have none
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
