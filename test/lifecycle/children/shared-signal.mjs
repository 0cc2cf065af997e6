// One signal for a hundred calls of every kind: no warning of a leak, each call is aborted by it, and nothing of ours stays on it.
import { getEventListeners } from 'node:events'
import { Embedder, Monitor } from '../../../dist/index.js'
import { fail, mixedTexts } from './texts.mjs'

process.on('warning', (warning) => fail(`${warning.name}: ${warning.message}`))
const embedder = await Embedder.load()
const monitor = await Monitor.load({ embedder })
const listeners = ({ signal }) => getEventListeners(signal, 'abort').length

const calls = (controller, mark) => {
  const options = { signal: controller.signal }
  return Array.from({ length: 25 }, (_, at) => [
    embedder.embed(`${mark} ${at}`, options),
    embedder.embed(`${mark} ${at}`, options), // waits for the first
    embedder.embedBatch(mixedTexts(3, `${mark} ${at}`), options),
    embedder.embedWindows(mixedTexts(1, `${mark} ${at}`), { size: 64, stride: 64 }, options),
    monitor.conversation(`${mark} ${at}`).addExchange({ user: `${mark} ${at}`, assistant: 'Certainly.' }, options),
  ]).flat()
}

const quiet = new AbortController()
const running = calls(quiet, 'quiet')
if (listeners(quiet) !== 1) fail(`${listeners(quiet)} listeners while calls run`)
await Promise.all(running)
if (listeners(quiet) !== 0) fail(`${listeners(quiet)} listeners when all calls have ended`)

const storm = new AbortController()
const aborted = Promise.allSettled(calls(storm, 'storm'))
storm.abort()
const codes = (await aborted).map(({ reason }) => reason?.code)
if (!codes.every((code) => code === 'ABORTED')) fail(`aborted calls ended with ${[...new Set(codes)]}`)

// The signal's owner may have a listener that throws away what runs; another signal's calls go on.
const other = new AbortController()
const both = calls(other, 'other')
quiet.abort()
await Promise.all(both)
await new Promise((resolve) => setImmediate(resolve)) // warnings are reported in an exchange of their own
console.log('done')
