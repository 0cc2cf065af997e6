// gRPC under load, by ghz: as many concurrent calls as connections of the HTTP test, then half of the capacity, and twice the capacity, of which the excess is refused.

import { quantile } from '../../dist/internals.js'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CONNECTIONS } from './http-load.mjs'
import { libraryAlone, startService } from './server.mjs'
import { ghzProgram } from './tools.mjs'

const proto = fileURLToPath(new URL('../../protocol/gabion/v1/gabion.proto', import.meta.url))
// A different text for each call, of about ten words, as in the HTTP test.
const data = JSON.stringify({ texts: ['order parcel refund account please address delivery late {{.RequestNumber}}'] })

/** Library, service and three loads, in one run. */
export async function grpcLoad({ threads, seconds, note }) {
  const ghz = await ghzProgram()
  const service = await startService({ threads, grpc: true })
  const ask = async (options, length = seconds) => {
    const call = ['--insecure', '--proto', proto, '--call', 'gabion.v1.EmbeddingService/Embed', '--data', data]
    const ending = ['--duration', `${length}s`, '--duration-stop', 'wait', '--format', 'json']
    const { stdout } = await promisify(execFile)(ghz, [...call, ...options, ...ending, `127.0.0.1:${service.grpcPort}`], {
      maxBuffer: 1 << 30,
    })
    return summary(JSON.parse(stdout))
  }
  const open = (perSecond) => ask(['--async', '--rps', String(Math.round(perSecond)), '--concurrency', '1000', '--connections', '4'])
  try {
    const closed = ['--concurrency', String(CONNECTIONS), '--connections', '4']
    await ask(closed, 2)
    const library = await libraryAlone({ threads, seconds, atOnce: CONNECTIONS })
    const full = await ask(closed)
    note(`library ${library.toFixed(0)}/s, service ${full.accepted.toFixed(0)}/s`)
    return { library, capacity: full.accepted, closed: full, half: await open(full.accepted / 2), twice: await open(full.accepted * 2) }
  } finally {
    await service.stop()
  }
}

/** Latencies in milliseconds of accepted calls, and counts by status. */
function summary({ details, total, statusCodeDistribution }) {
  const took = details.filter(({ status }) => status === 'OK').map(({ latency }) => latency / 1e6)
  return { accepted: took.length / (total / 1e9), p50: quantile(took, 0.5), p99: quantile(took, 0.99), statuses: statusCodeDistribution }
}
