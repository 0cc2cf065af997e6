// The encoder's bits: vectors of 2,000 texts and of windows hash to what scripts/golden/vector-hash.ts has kept for this instruction set.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HASHED_PRECISIONS, readGoldenHashes, vectorHashes } from '../../scripts/golden/vector-hash.js'
import { convertModel } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { nativeAddon } from '../../lib/native.js'

test('vectors have the bits that are kept for this instruction set', async (context) => {
  const { encoderInstructionSet } = nativeAddon().machine()
  for (const precision of HASHED_PRECISIONS) {
    const golden = readGoldenHashes()[precision]?.[encoderInstructionSet]
    if (golden === undefined) context.diagnostic(`no hashes are kept for ${precision} with ${encoderInstructionSet}`)
    else assert.deepEqual(await vectorHashes({ Embedder, convertModel }, precision), golden, `${precision}, ${encoderInstructionSet}`)
  }
})
