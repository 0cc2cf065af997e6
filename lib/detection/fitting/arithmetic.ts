// Owns the mark of an encoder's arithmetic: vectors of other instructions or of another version of the kernels differ in their last digits,
// and heads trained on them in their bytes.

import { nodeCrypto } from '../../lazy.js'
import type { Embedder } from '../../embedding/embedder.js'

/** One of each length at which kernels take another way: a word, a sentence, a window that is full. */
const PROBES = [
  'Yes.',
  'Could you tell me which papers I need to bring to the counter?',
  Array.from({ length: 200 }, (_, at) => `line ${String(at)} of the report`).join(', '),
]

/** 16 hexadecimal digits that are the same where texts have the same vectors, bit for bit. */
export async function numericsFingerprint(embedder: Pick<Embedder, 'embedBatch'>): Promise<string> {
  const { data } = await embedder.embedBatch(PROBES)
  return nodeCrypto()
    .createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
    .slice(0, 16)
}
