// SHA-256 of files, read as a stream. Knows no models.

import { createReadStream } from 'node:fs'
import { nodeCrypto } from '../lazy.js'

/** The hex digest of one file, or of several files concatenated. Rejects with the file system's own error. */
export async function sha256OfFiles(files: readonly string[], signal?: AbortSignal): Promise<string> {
  const hash = nodeCrypto().createHash('sha256')
  for (const file of files) {
    const stream = createReadStream(file, { highWaterMark: 1 << 20, ...(signal === undefined ? {} : { signal }) })
    for await (const chunk of stream) hash.update(chunk as Buffer)
  }
  return hash.digest('hex')
}
