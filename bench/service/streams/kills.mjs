// Two proxies with one Redis; Redis is killed, then a proxy. What was stored must arrive, and nothing passes that was not.

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseTranscript } from '../../../dist/index.js'
import { ask } from './client.mjs'
import { freePort, startProxy, startReceiver, startRedis } from './processes.mjs'
import { startUpstream } from './upstream.mjs'

const example = fileURLToPath(new URL('../../../examples/shop-refund-eroding.json', import.meta.url))
const [eroding] = parseTranscript(readFileSync(example, 'utf8'), 'shop-refund-eroding.json')
/** An exchange that raises an alert by itself, without any rules. */
const BAD = eroding.exchanges[4]
const GOOD = { user: 'When do you open?', assistant: 'We open at nine and close at five.' }
const REPLACEMENT = 'This was blocked.'
const WORKERS = 4
/** Milliseconds in which stored alerts have to arrive. */
const ARRIVAL_MS = 120_000

export async function measureKills({ mode, detector, seconds }) {
  const upstream = await startUpstream({ pauseMs: 0, replyTo: (asked) => (asked === BAD.user ? BAD.assistant : GOOD.assistant) })
  const redis = await startRedis(await freePort())
  const receiver = await startReceiver()
  const flags = [
    ...['--upstream', upstream.url, '--on-alert', mode, '--detector', detector, '--replacement-message', REPLACEMENT],
    ...['--redis', redis.url, '--alert-webhook', receiver.url, '--alert-webhook-private'],
  ]
  const proxies = await Promise.all([0, 1].map(() => startProxy([...flags, '--port', '0'])))
  const passed = []
  const counts = { passed: 0, blocked: 0, failed: 0 }
  const end = performance.now() + seconds * 1000
  let next = 0
  const work = async (worker) => {
    while (performance.now() < end) {
      const id = next++
      const { user, assistant } = id % 3 === 0 ? BAD : GOOD
      const conversation = `request-${id}`
      const request = { message: user, stream: id % 2 === 0, conversation }
      const { failure, status, text } = await ask(proxies[(id + worker) % 2].url, request)
      const said = wordsOf(text)
      if (failure !== null || status !== 200) counts.failed++
      else if (said === assistant && isFinished(text, request)) passed.push(conversation)
      else counts.blocked++
      await pause(20)
    }
  }
  const kill = async () => {
    await pause((seconds * 1000) / 3)
    await redis.kill()
    await pause(300)
    await redis.start()
    await pause((seconds * 1000) / 3)
    await proxies[0].kill()
    receiver.open = true
    const { port } = proxies[0]
    proxies[0] = await startProxy([...flags, '--port', String(port)])
  }
  await Promise.all([kill(), ...Array.from({ length: WORKERS }, (_, worker) => work(worker))])
  counts.passed = passed.length
  const failures = []
  const alerts = await allOf(proxies[1].url, 'alerts')
  if (alerts.length === 0) failures.push('no alert was raised')
  const waited = performance.now()
  const missing = () => alerts.filter(({ id }) => !receiver.received.has(id))
  while (missing().length > 0 && performance.now() - waited < ARRIVAL_MS) await pause(100)
  if (missing().length > 0) failures.push(`${missing().length} of ${alerts.length} stored alerts did not reach the webhook`)
  if (mode !== 'observe') {
    const stored = await redis.namesOf('{gabion}:conversation:')
    const without = passed.filter((conversation) => !stored.has(conversation))
    if (without.length > 0) failures.push(`${without.length} of ${passed.length} replies passed without a stored verdict`)
  }
  await Promise.all(proxies.map(({ kill: stop }) => stop('SIGTERM')))
  await redis.kill()
  upstream.stop()
  return { ...counts, alerts: alerts.length, arrivedAfterMs: Math.round(performance.now() - waited), failures }
}

/** All entries of a list of the service. */
async function allOf(url, name) {
  const entries = []
  for (;;) {
    const response = await fetch(`${url}/gabion/v1/${name}?limit=100&offset=${entries.length}`)
    if (!response.ok) throw new Error(`${name}: ${response.status} ${await response.text()}`)
    const page = (await response.json())[name]
    entries.push(...page)
    if (page.length < 100) return entries
  }
}

/** Whether a client takes the reply for finished. */
function isFinished(text, { stream }) {
  return !stream || text.includes('data: [DONE]')
}

function wordsOf(text) {
  const events = text.split('\n').flatMap((line) => (line.startsWith('data: {') ? [line.slice(6)] : []))
  try {
    const parts = (events.length > 0 ? events : [text]).map((json) => JSON.parse(json).choices?.[0])
    return parts.map((choice) => choice?.message?.content ?? choice?.delta?.content ?? '').join('')
  } catch {
    return ''
  }
}
