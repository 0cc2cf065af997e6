// Sends requests at a rate, without waiting for answers (open loop), and measures each from its scheduled time, so that a slow service cannot hide its queue.

import { Pool } from 'undici'
import { quantile } from '../../dist/internals.js'
import { freshText } from './texts.mjs'

/**
 * Requests for `seconds` at `perSecond`: evenly spaced, or at random times (Poisson arrivals, as from many independent clients), where
 * some requests wait for others even on an ideal server. Resolves with latencies of accepted requests and counts by status.
 */
export async function openLoop({ url, path, bodyOf, perSecond, seconds, random = true, connections = 256 }) {
  const pool = new Pool(url, { connections, pipelining: 1 })
  const took = []
  const statuses = {}
  const running = new Set()
  const begin = performance.now()
  let due = begin
  for (;;) {
    due += ((random ? -Math.log(1 - Math.random()) : 1) * 1000) / perSecond
    if (due - begin > seconds * 1000) break
    const wait = due - performance.now()
    if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait))
    const at = due
    const one = pool
      .request({ path, method: 'POST', headers: { 'content-type': 'application/json' }, body: bodyOf(freshText()) })
      .then(async ({ statusCode, body }) => {
        await body.arrayBuffer()
        statuses[statusCode] = (statuses[statusCode] ?? 0) + 1
        if (statusCode === 200) took.push(performance.now() - at)
      })
      .catch((error) => {
        statuses[error.code ?? 'error'] = (statuses[error.code ?? 'error'] ?? 0) + 1
      })
      .finally(() => running.delete(one))
    running.add(one)
  }
  await Promise.all(running)
  const elapsed = (performance.now() - begin) / 1000
  await pool.close()
  return { accepted: took.length / elapsed, p50: quantile(took, 0.5), p99: quantile(took, 0.99), statuses }
}

/** Closed loop: `connections` requests in flight, each sent after the previous response. Resolves with responses per second. */
export async function closedLoop({ url, path, bodyOf, seconds, connections, textOf = freshText }) {
  const pool = new Pool(url, { connections, pipelining: 1 })
  const took = []
  const begin = performance.now()
  const worker = async () => {
    while (performance.now() - begin < seconds * 1000) {
      const at = performance.now()
      const { statusCode, body } = await pool.request({
        path,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: bodyOf(textOf()),
      })
      await body.arrayBuffer()
      if (statusCode !== 200) throw new Error(`${path}: ${statusCode}`)
      took.push(performance.now() - at)
    }
  }
  await Promise.all(Array.from({ length: connections }, worker))
  const elapsed = (performance.now() - begin) / 1000
  await pool.close()
  return { perSecond: took.length / elapsed, p50: quantile(took, 0.5), p99: quantile(took, 0.99) }
}
