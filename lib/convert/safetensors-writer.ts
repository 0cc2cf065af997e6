// Owns writing of a safetensors file as a stream of tensors; returns their locations and the file's SHA-256. The data area begins at
// a page boundary, and wider elements come first, so that every tensor is aligned to its element size.

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { ELEMENT_BYTES, type ElementType, type StoredTensor } from './safetensors-header.js'

const DATA_ALIGNMENT = 4096

/** A tensor to write; its bytes are generated on demand, so that one tensor is in memory at a time. */
export interface TensorToWrite {
  name: string
  type: ElementType
  shape: readonly number[]
  /** The elements in row-major order, little-endian, in pieces of any size. */
  chunks: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** The written file. */
export interface WrittenSafetensors {
  /** By name, with offsets from the beginning of the file. */
  tensors: Map<string, StoredTensor>
  /** Hex digest of the whole file. */
  sha256: string
  bytes: number
}

function byteLengthOf(tensor: TensorToWrite): number {
  return tensor.shape.reduce((product, size) => product * size, ELEMENT_BYTES[tensor.type])
}

function layOut(tensors: readonly TensorToWrite[], metadata: Record<string, string>): { header: Uint8Array; ordered: TensorToWrite[] } {
  const ordered = [...tensors].sort((a, b) => ELEMENT_BYTES[b.type] - ELEMENT_BYTES[a.type])
  const entries: Record<string, unknown> = { __metadata__: metadata }
  let offset = 0
  for (const tensor of ordered) {
    const end = offset + byteLengthOf(tensor)
    entries[tensor.name] = { dtype: tensor.type, shape: tensor.shape, data_offsets: [offset, end] }
    offset = end
  }
  const json = Buffer.from(JSON.stringify(entries))
  const header = Buffer.alloc(Math.ceil((8 + json.length) / DATA_ALIGNMENT) * DATA_ALIGNMENT, ' ')
  header.writeBigUInt64LE(BigInt(header.length - 8))
  json.copy(header, 8)
  return { header, ordered }
}

/**
 * Writes the file. The caller passes a temporary path and renames the file.
 *
 * @param onBytes called with the count of bytes written so far and of the whole file; may throw to stop
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: Record<string, string>,
  onBytes: (written: number, total: number) => void = () => undefined,
): Promise<WrittenSafetensors> {
  const { header, ordered } = layOut(tensors, metadata)
  const total = ordered.reduce((sum, tensor) => sum + byteLengthOf(tensor), header.length)
  const hash = createHash('sha256')
  await using handle = await open(file, 'wx')
  let written = 0
  const append = async (bytes: Uint8Array): Promise<void> => {
    hash.update(bytes)
    for (let sent = 0; sent < bytes.length;) sent += (await handle.write(bytes, sent)).bytesWritten
    written += bytes.length
    onBytes(written, total)
  }
  await append(header)
  const stored = new Map<string, StoredTensor>()
  for (const tensor of ordered) {
    const { name, type, shape } = tensor
    stored.set(name, { name, type, shape, offset: written, byteLength: byteLengthOf(tensor) })
    for await (const chunk of tensor.chunks()) await append(chunk)
  }
  await handle.sync()
  return { tensors: stored, sha256: hash.digest('hex'), bytes: written }
}
