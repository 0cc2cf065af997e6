// HTTP: throughput relative to the library, latency at half, full and twice the capacity, and memory during a long overload.

import { median } from '../../dist/internals.js'
import { closedLoop, openLoop } from './generator.mjs'
import { libraryAlone, startService } from './server.mjs'

const PATH = '/v1/embeddings'
export const CONNECTIONS = 8
export const base64Body = (text) => JSON.stringify({ input: text, model: 'm', encoding_format: 'base64' })
const floatBody = (text) => JSON.stringify({ input: text, model: 'm' })

/** Library and service interleaved; then open-loop loads. */
export async function httpLoad({ threads, seconds, rounds, note }) {
  const service = await startService({ threads })
  try {
    const { url, probe } = service
    const closed = (bodyOf, length = seconds) => closedLoop({ url, path: PATH, bodyOf, seconds: length, connections: CONNECTIONS })
    const open = async (perSecond, random = true) => {
      await probe()
      const load = await openLoop({ url, path: PATH, bodyOf: base64Body, perSecond, seconds, random })
      return { ...load, ...(await probe()) }
    }
    await closed(base64Body, 2)
    const measured = []
    for (let round = 1; round <= rounds; round++) {
      const library = await libraryAlone({ threads, seconds, atOnce: CONNECTIONS })
      const { perSecond, p50, p99 } = await closed(base64Body)
      measured.push({ library, perSecond, p50, p99, share: perSecond / library })
      note(`round ${round}: library ${library.toFixed(0)}/s, service ${perSecond.toFixed(0)}/s`)
    }
    const capacity = median(measured.map(({ perSecond }) => perSecond))
    const floats = await closed(floatBody, seconds / 2)
    const loads = {
      half: await open(capacity / 2, false),
      halfAtRandom: await open(capacity / 2),
      full: await open(capacity),
      twice: await open(capacity * 2),
    }
    return {
      rounds: measured,
      library: median(measured.map(({ library }) => library)),
      capacity,
      share: median(measured.map(({ share }) => share)),
      floats: floats.perSecond,
      ...loads,
    }
  } finally {
    await service.stop()
  }
}

/** Twice the capacity for a long time, with the resident memory sampled at intervals. */
export async function soak({ threads, soakSeconds, note }) {
  const service = await startService({ threads })
  try {
    const { url, probe } = service
    const { perSecond } = await closedLoop({ url, path: PATH, bodyOf: base64Body, seconds: 4, connections: CONNECTIONS })
    const every = Math.max(5, soakSeconds / 20)
    const rss = []
    for (let at = 0; at < soakSeconds; at += every) {
      await openLoop({ url, path: PATH, bodyOf: base64Body, perSecond: perSecond * 2, seconds: Math.min(every, soakSeconds - at) })
      rss.push((await probe()).rss)
      note(`${Math.round(at + every)} s: ${(rss.at(-1) / 1e6).toFixed(1)} MB`)
    }
    return { seconds: soakSeconds, rss }
  } finally {
    await service.stop()
  }
}
