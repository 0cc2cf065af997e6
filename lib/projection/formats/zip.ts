// Owns small ZIP archives: read into memory with bounds, and written. @zip.js/zip.js implements the format.

import { isGabionError } from '../../errors.js'
import { damaged } from '../../files/damage.js'

/** Limit of the unpacked size: enough for any matrix of a projection, and no zip bomb. */
const MAX_BYTES = 512 * 1024 * 1024
/** Numbers hardly compress; an archive with a larger ratio is refused before it is unpacked. */
const MAX_GROWTH = 64
const SMALL_BYTES = 16 * 1024 * 1024
const MAX_ENTRIES = 4096

/**
 * All files of an archive by name.
 *
 * @param wanted names to unpack; others are left out
 * @throws GabionError `ARTIFACT_INVALID` for a file that is no archive, is damaged or encrypted, or unpacks to too much
 */
export async function readZip(bytes: Uint8Array, wanted: (name: string) => boolean = () => true): Promise<Map<string, Uint8Array>> {
  const zip = await import('@zip.js/zip.js')
  zip.configure({ useWebWorkers: false })
  const reader = new zip.ZipReader(new zip.Uint8ArrayReader(bytes), { checkSignature: true })
  const most = Math.min(MAX_BYTES, Math.max(SMALL_BYTES, bytes.length * MAX_GROWTH))
  const files = new Map<string, Uint8Array>()
  try {
    let total = 0
    let entries = 0
    for await (const entry of reader.getEntriesGenerator()) {
      if (++entries > MAX_ENTRIES) throw damaged(`the archive has more than ${String(MAX_ENTRIES)} files`)
      if (entry.directory || !wanted(entry.filename)) continue
      if (entry.encrypted) throw damaged(`${printed(entry.filename)} in the archive is encrypted`)
      if (files.has(entry.filename)) throw damaged(`the archive has ${printed(entry.filename)} twice`)
      total += entry.uncompressedSize
      if (total > most) throw damaged(`the archive unpacks to more than ${String(Math.round(most / 2 ** 20))} MiB`)
      files.set(entry.filename, await unpack(entry))
    }
  } catch (cause) {
    if (isGabionError(cause) && cause.code === 'ARTIFACT_INVALID') throw cause
    throw damaged(`not a ZIP archive that can be read: ${(cause as Error).message}`, cause)
  } finally {
    await reader.close()
  }
  return files
}

interface Unpacked {
  filename: string
  uncompressedSize: number
  getData<T>(writer: WritableStream<T>): Promise<unknown>
}

/** The sizes in an archive's directory may be wrong; no more than the declared size is read. */
async function unpack(entry: Unpacked): Promise<Uint8Array> {
  const content = new Uint8Array(entry.uncompressedSize)
  let at = 0
  await entry.getData(
    new WritableStream<Uint8Array>({
      write(chunk) {
        if (at + chunk.length > content.length) throw damaged(`${printed(entry.filename)} in the archive is longer than the archive says`)
        content.set(chunk, at)
        at += chunk.length
      },
    }),
  )
  if (at !== content.length) throw damaged(`${printed(entry.filename)} in the archive is shorter than the archive says`)
  return content
}

function printed(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)
}

/** An uncompressed archive, since numbers hardly compress. */
export async function writeZip(files: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const zip = await import('@zip.js/zip.js')
  zip.configure({ useWebWorkers: false })
  const writer = new zip.ZipWriter(new zip.Uint8ArrayWriter(), { level: 0, extendedTimestamp: false, lastModDate: new Date(1980, 0, 1) })
  for (const [name, content] of files) await writer.add(name, new zip.Uint8ArrayReader(content))
  return writer.close()
}
