// Owns the download of a file from the hub to the cache's blobs: resumes an earlier attempt, checks the hash, and only then renames
// the blob. A file under its final name is always complete.

import type { Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Response } from 'undici'
import { nodeCrypto } from '../../lazy.js'
import { GabionError } from '../../errors.js'
import { withFileLock } from '../../files/file-lock.js'
import type { RepositoryCache } from './cache.js'
import type { HubClient } from './client.js'
import type { HubFile, HubRepository } from './repository.js'

/** A mismatching file is fetched again once; a second mismatch means that the hub has other content. */
const HASH_ATTEMPTS = 2

/** The hash of a blob's name; git's SHA-1 includes a header before the content. */
function hashFor({ etag, bytes }: HubFile): Hash {
  return etag.length === 64
    ? nodeCrypto().createHash('sha256')
    : nodeCrypto()
        .createHash('sha1')
        .update(`blob ${String(bytes)}\0`)
}

/**
 * Downloads a file's blob unless it exists.
 *
 * @param onBytes called with the number of bytes that are stored
 * @throws GabionError as {@link HubClient.persist}, `CHECKSUM_MISMATCH` for content that is not what the hub listed; the file
 * system's own errors
 */
export async function downloadBlob(
  client: HubClient,
  cache: RepositoryCache,
  repository: HubRepository,
  file: HubFile,
  options: { signal: AbortSignal; onBytes: (bytes: number) => void },
): Promise<void> {
  if (await cache.hasBlob(file)) return
  const lock = join(cache.locks, `${file.etag}.gabion.lock`)
  await withFileLock(
    lock,
    async () => {
      if (await cache.hasBlob(file)) return
      const partial = `${cache.blob(file.etag)}.gabion-partial`
      await mkdir(dirname(partial), { recursive: true })
      for (let attempt = 1; ; attempt++) {
        const actual = await fetchInto(partial, client, repository, file, options.onBytes)
        if (actual === file.etag) break
        await rm(partial, { force: true })
        if (attempt < HASH_ATTEMPTS) continue
        const expected = `${file.etag.length === 64 ? 'SHA-256' : 'git SHA-1'} ${file.etag}`
        throw new GabionError(
          'CHECKSUM_MISMATCH',
          `${client.settings.endpoint} gave ${repository.id}/${file.path} with another content than it lists (${expected}, got ${actual}); nothing was kept`,
        )
      }
      await rename(partial, cache.blob(file.etag))
    },
    options.signal,
  )
}

/** Completes a partial file and returns the hash of its content. */
async function fetchInto(
  partial: string,
  client: HubClient,
  repository: HubRepository,
  file: HubFile,
  onBytes: (bytes: number) => void,
): Promise<string> {
  let have = await stat(partial).then(
    (found) => found.size,
    () => 0,
  )
  if (have > file.bytes) {
    await rm(partial)
    have = 0
  }
  let hash = await hashOfStart(partial, have, file)
  const path = `/${repository.id}/resolve/${repository.commit}/${file.path.split('/').map(encodeURIComponent).join('/')}`
  await using handle = await open(partial, have === 0 ? 'w' : 'r+')
  onBytes(have)
  if (have < file.bytes) {
    await client.persist(async (openAddress, resetAttempts) => {
      const response = await openAddress(path, have === 0 ? {} : { range: `bytes=${String(have)}-` })
      if (!continues(response, have)) {
        await handle.truncate(0)
        have = 0
        hash = hashFor(file)
      }
      for await (const chunk of response.body ?? []) {
        const bytes = chunk as Uint8Array
        if (have + bytes.length > file.bytes) throw tooLong(client, repository, file)
        for (let sent = 0; sent < bytes.length;) sent += (await handle.write(bytes, sent, bytes.length - sent, have + sent)).bytesWritten
        hash.update(bytes)
        have += bytes.length
        resetAttempts()
        onBytes(have)
      }
      // Some servers end a broken response as if it were complete.
      if (have < file.bytes)
        throw new TypeError('the answer ended early', { cause: new Error(`${file.path} ended after ${String(have)} bytes`) })
    })
  }
  await handle.sync()
  return hash.digest('hex')
}

/** Whether a response continues from a position; a response from the beginning is valid too. */
function continues(response: Response, from: number): boolean {
  if (from === 0) return true
  const start = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1]
  return response.status === 206 && Number(start) === from
}

async function hashOfStart(partial: string, bytes: number, file: HubFile): Promise<Hash> {
  const hash = hashFor(file)
  if (bytes === 0) return hash
  for await (const chunk of createReadStream(partial, { end: bytes - 1, highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash
}

function tooLong(client: HubClient, repository: HubRepository, file: HubFile): GabionError {
  return new GabionError(
    'CHECKSUM_MISMATCH',
    `${client.settings.endpoint} gave more than the ${String(file.bytes)} bytes that it lists for ${repository.id}/${file.path}`,
  )
}
