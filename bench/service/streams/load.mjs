// Many streams at once: bytes, losses, time to the first byte, memory.

import { setTimeout as pause } from 'node:timers/promises'
import { quantile } from '../../../dist/internals.js'
import { ask } from './client.mjs'
import { startProxy } from './processes.mjs'
import { startUpstream, STORY_WORDS } from './upstream.mjs'

/** Milliseconds between two words: a stream of 60 words takes about six seconds, in the short form less. */
const pauseOf = (seconds) => (seconds >= 30 ? 100 : 15)
/** Of the memory in use after a third of the time. */
const GROWTH = 1.1
/** From here on memory is expected to be flat, and the time to the first byte to be within its bound. */
const LONG_SECONDS = 30
/** Milliseconds that the proxy may add to the first byte's 99th percentile: the lag of streams that may be cut, and 20. */
const ADDED_MS = { observe: 20, cut: 420 }

/**
 * Every second stream goes past the proxy, so that both kinds meet the same machine. Streams begin one after the other, or with `burst` all at
 * once, again and again; the first of each worker warms up, and does not count for the times.
 */
export async function measureLoad({ mode, detector, streams, seconds, burst }) {
  const upstream = await startUpstream({ pauseMs: pauseOf(seconds), replyTo: () => '' })
  const flags = ['--upstream', upstream.url, '--port', '0', '--on-alert', mode, '--no-comments', '--detector', detector]
  const proxy = await startProxy(flags)
  const first = { direct: [], proxied: [] }
  const lost = []
  const memory = []
  let ended = 0
  let cutShort = 0
  const end = performance.now() + seconds * 1000
  const sampling = setInterval(() => memory.push(proxy.memory()), 500)
  // Streams have begun and ended by then: caches, pools and code are warm.
  const warm = pause((seconds * 1000) / 3).then(proxy.memoryInUse)
  // A conversation a worker: the store has a bounded number of them, and memory has a reason to be flat.
  const work = async (worker) => {
    const way = worker % 2 === 0 ? 'proxied' : 'direct'
    if (!burst) await pause((worker / (2 * streams)) * STORY_WORDS * pauseOf(seconds))
    for (let id = worker; performance.now() < end; id += streams) {
      const url = way === 'proxied' ? proxy.url : upstream.url
      const { failure, status, hash, text, firstMs } = await ask(url, {
        message: `story ${id}`,
        stream: true,
        conversation: `worker-${worker}`,
      })
      if (failure !== null || status !== 200) lost.push(`stream ${id} (${way}): ${failure ?? status}`)
      else if (hash === upstream.hashOf(id)) ended++
      else if (mode !== 'observe' && text.includes('content_filter')) cutShort++
      else lost.push(`stream ${id} (${way}) has other bytes`)
      if (id !== worker) first[way].push(firstMs)
    }
  }
  await Promise.all(Array.from({ length: 2 * streams }, (_, worker) => work(worker)))
  clearInterval(sampling)
  const inUse = { early: await warm, late: await proxy.memoryInUse() }
  const metrics = await (await fetch(`${proxy.url}/gabion/metrics`)).text()
  await proxy.kill('SIGTERM')
  upstream.stop()
  const half = Math.floor(memory.length / 2)
  const failures = lost.slice(0, 20)
  const [early, late] = [Math.max(...memory.slice(0, half)), Math.max(...memory.slice(half))]
  if (seconds >= LONG_SECONDS && inUse.late > GROWTH * inUse.early)
    failures.push(`memory in use grew from ${inUse.early.toFixed(0)} to ${inUse.late.toFixed(0)} MiB`)
  if (ended === 0) failures.push('no stream ended')
  const times = Object.fromEntries(
    Object.entries(first).map(([way, took]) => [way, { p50: quantile(took, 0.5), p99: quantile(took, 0.99) }]),
  )
  const added = { p50: times.proxied.p50 - times.direct.p50, p99: times.proxied.p99 - times.direct.p99 }
  const bound = burst ? undefined : ADDED_MS[mode]
  if (seconds >= LONG_SECONDS && added.p99 > bound)
    failures.push(`the first byte came ${added.p99.toFixed(0)} ms later (p99), more than ${bound}`)
  const unjudged = [...metrics.matchAll(/^gabion_proxy_unjudged_total\{code="(\w+)"\} (\d+)$/gm)].map(([, code, count]) => [
    code,
    Number(count),
  ])
  return {
    streams: ended,
    cutShort,
    lost: lost.length,
    firstByteMs: times,
    addedToFirstByteMs: added,
    inUseMib: inUse,
    residentMib: { early, late },
    cacheMib: Number(/^gabion_cache_bytes (\d+)$/m.exec(metrics)?.[1]) / 2 ** 20,
    unjudged: Object.fromEntries(unjudged),
    failures,
  }
}
