#!/usr/bin/env node
// Streams through the proxy: does every byte arrive, is memory flat, what does it add to the first byte? And what is lost when Redis and one of
// two proxies are killed?
//
// usage: node bench/service/streams.mjs [--mode observe|cut|hold] [--part load,kills] [--streams 200] [--seconds 60] [--burst]
//        [--detector NAME] [--out FILE]
//   load   --streams streams at once for --seconds, half of them past the proxy: checksums of all bytes, lost streams, time to the first
//          byte with and without the proxy, memory in use and resident; with --burst all of them begin at the same moment
//   kills  requests to two proxies with one Redis (appendfsync always); Redis is killed, then a proxy: every alert that was stored reaches
//          the webhook, and with cut and hold every reply that a client takes for finished has a stored verdict
//
// Ends with 1 if something was lost. The short form, which the tests run: --streams 20 --seconds 5. Needs dist (npm run build:ts) and
// redis-server.

import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { measureKills } from './streams/kills.mjs'
import { measureLoad } from './streams/load.mjs'

const PARTS = { load: measureLoad, kills: measureKills }
const { values } = parseArgs({
  options: {
    mode: { type: 'string', default: 'observe' },
    part: { type: 'string', default: Object.keys(PARTS).join() },
    streams: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '60' },
    burst: { type: 'boolean', default: false },
    detector: { type: 'string', default: 'erosion' },
    out: { type: 'string' },
  },
})
const options = {
  mode: values.mode,
  detector: values.detector,
  burst: values.burst,
  streams: Number(values.streams),
  seconds: Number(values.seconds),
}
const result = { date: new Date().toISOString(), load: loadavg()[0], ...options, parts: {}, failures: [] }
for (const name of values.part.split(',')) {
  const { failures, ...measured } = await PARTS[name](options)
  result.parts[name] = measured
  result.failures.push(...failures.map((failure) => `${name}: ${failure}`))
}
const text = JSON.stringify(result, null, 2)
console.log(text)
if (values.out !== undefined) {
  mkdirSync(dirname(values.out), { recursive: true })
  writeFileSync(values.out, `${text}\n`)
}
process.exit(result.failures.length === 0 ? 0 : 1)
