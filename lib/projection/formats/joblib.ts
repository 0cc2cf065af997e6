// Owns joblib's files: a pickle interleaved with the data of its arrays, optionally compressed as a whole.

import { nodeUtil, nodeZlib } from '../../lazy.js'
import { ByteReader } from './byte-reader.js'
import { damaged } from '../../files/damage.js'
import { readPickle } from './pickle.js'
import type { PythonValue } from './python-object.js'

/** Bounds on decompression: bytes of a small file, in proportion for larger ones. Matrices of numbers hardly compress. */
const SMALL_BYTES = 16 * 1024 * 1024
const MAX_GROWTH = 16
const MAX_BYTES = 512 * 1024 * 1024

/** Other compressions of joblib, by their magic bytes. */
const OTHER: readonly (readonly [string, readonly number[]])[] = [
  ['bz2', [0x42, 0x5a]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
]

/**
 * Reads a pickle or a joblib file.
 *
 * @throws GabionError `ARTIFACT_INVALID`
 */
export async function readPickleFile(bytes: Uint8Array): Promise<PythonValue> {
  const reader = new ByteReader(await uncompressed(bytes))
  const value = readPickle(reader)
  if (reader.left > 0) throw damaged(`${String(reader.left)} bytes follow after the end of the pickle`)
  return value
}

async function uncompressed(bytes: Uint8Array): Promise<Uint8Array> {
  const starts = (magic: readonly number[]): boolean => magic.every((byte, at) => bytes[at] === byte)
  const other = OTHER.find(([, magic]) => starts(magic))?.[0]
  if (other !== undefined) {
    throw damaged(`compressed with ${other}, which is not read; save it again with joblib.dump(estimator, file, compress=('zlib', 3))`)
  }
  const isGzip = starts([0x1f, 0x8b])
  const isZlib = bytes[0] === 0x78 && ((bytes[0] << 8) | (bytes[1] ?? 0)) % 31 === 0
  if (!isGzip && !isZlib) return bytes
  const maxOutputLength = Math.min(MAX_BYTES, Math.max(SMALL_BYTES, bytes.length * MAX_GROWTH))
  try {
    const { promisify } = nodeUtil()
    const { gunzip, inflate } = nodeZlib()
    return isGzip ? await promisify(gunzip)(bytes, { maxOutputLength }) : await promisify(inflate)(bytes, { maxOutputLength })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw damaged(`unpacks to more than ${String(Math.round(maxOutputLength / 2 ** 20))} MiB`, cause)
    throw damaged(`damaged: ${(cause as Error).message}`, cause)
  }
}
