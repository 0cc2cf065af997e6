// Owns the numerics fingerprint of an encoder: vectors of other instruction sets or kernel versions differ in their last digits, and
// so do the bytes of heads trained on them.

import { nodeCrypto } from '../../lazy.js'
import type { Embedder } from '../../embedding/embedder.js'

/** One text per length class of the kernels: a word, a sentence, a full window. */
const PROBES = [
  'Yes.',
  'Could you tell me which papers I need to bring to the counter?',
  Array.from({ length: 200 }, (_, at) => `line ${String(at)} of the report`).join(', '),
]

/** 16 hexadecimal digits, equal where texts have bit-identical vectors. */
export async function numericsFingerprint(embedder: Pick<Embedder, 'embedBatch'>): Promise<string> {
  const { data } = await embedder.embedBatch(PROBES)
  return nodeCrypto()
    .createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
    .slice(0, 16)
}
