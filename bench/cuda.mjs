// Asks: what do one text and many cost on a CUDA device, compared with sentence-transformers in fp16 on the same device?
// Needs a device and ONNX Runtime's CUDA provider (docs/install.md); compares with sentence-transformers where CUDA_PYTHON names a Python that
// has it with a PyTorch for CUDA. Without a device it reports what is missing and measures nothing.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../dist/convert/index.js'
import { Embedder } from '../dist/index.js'
import { runBench } from './harness/command.mjs'
import { cosines } from './harness/baselines/agreement.mjs'
import { summarize } from './harness/statistics.mjs'
import { mixedTexts, textsOfLength } from './harness/texts.mjs'

const TITLE = 'CUDA'
const QUESTION = 'What do one text and many cost on a CUDA device, compared with sentence-transformers in fp16 on the same device?'

const LENGTHS = [16, 64, 256]
const BATCHES = [1, 32, 256]
const CALLERS = [8, 64]
const build = (path) => fileURLToPath(new URL(`../build/${path}`, import.meta.url))
/** The published checkpoint, which `node scripts/bundle-model.mjs --source-only` downloads from the registry. */
const CHECKPOINT = build('cache/all-MiniLM-L6-v2')
const FP16 = build('models/all-MiniLM-L6-v2-fp16')

async function measure({ quick, say }) {
  const started = performance.now()
  const embedder = await open(say)
  const loadSeconds = (performance.now() - started) / 1000
  if (typeof embedder === 'string') return { tables: [], notes: [`Not measured: ${embedder}`], targets: [], measurements: null }
  const peer = process.env.CUDA_PYTHON === undefined ? null : await startPeer(process.env.CUDA_PYTHON)
  const implementations = [
    { name: `gabion, ${embedder.info.precision}`, seconds: (texts) => timed(() => embedder.embedBatch(texts)) },
    ...(peer === null ? [] : [{ name: `sentence-transformers, fp16 (PyTorch ${peer.torch})`, seconds: peer.seconds }]),
  ]
  const measurements = { latency: {}, throughput: {}, callers: {}, loadSeconds }
  say('agreement')
  measurements.agreement = await agreementWithProcessor(embedder)
  for (const tokens of LENGTHS) {
    say(`${tokens} tokens`)
    const texts = textsOfLength(embedder, tokens, 64).map((text) => [text])
    measurements.latency[tokens] = await interleave(implementations, texts, quick ? 4 : 300)
  }
  for (const rows of BATCHES) {
    say(`batches of ${rows}`)
    const { texts } = mixedTexts(embedder, rows * 4)
    const batches = Array.from({ length: 4 }, (_, index) => texts.slice(index * rows, (index + 1) * rows))
    measurements.throughput[rows] = await interleave(implementations, batches, quick ? 2 : 40)
  }
  for (const callers of CALLERS) {
    say(`${String(callers)} callers of one text`)
    const { texts } = mixedTexts(embedder, callers * 4)
    const calls = Array.from({ length: 4 }, (_, index) => texts.slice(index * callers, (index + 1) * callers))
    const together = { name: implementations[0].name, seconds: (of) => timed(() => Promise.all(of.map((text) => embedder.embed(text)))) }
    measurements.callers[callers] = await interleave([together], calls, quick ? 2 : 40)
  }
  peer?.stop()
  return resultOf(implementations, measurements, embedder.info, peer)
}

/** An embedder on the device, or the reason why there is none. */
async function open(say) {
  if (!existsSync(join(FP16, 'onnx'))) {
    if (!existsSync(CHECKPOINT)) return 'the checkpoint is missing; `node scripts/bundle-model.mjs --source-only` brings it'
    say('converting to fp16')
    await convertModel({ source: CHECKPOINT, out: FP16, precisions: ['fp16'], overwrite: true })
  }
  try {
    return await Embedder.load({ model: FP16, precision: 'fp16', providers: ['cuda'], cache: false, onTruncated: () => undefined })
  } catch (error) {
    if (error.code === 'PROVIDER_UNAVAILABLE') return `${error.code}: ${error.message}`
    throw error
  }
}

async function startPeer(python) {
  const worker = fileURLToPath(new URL('harness/sentence_transformers_cuda.py', import.meta.url))
  const child = spawn(python, [worker, CHECKPOINT], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, HF_HUB_OFFLINE: '1' } })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`${python} ended: does it have sentence-transformers and a PyTorch for CUDA?`)
    return JSON.parse(value)
  }
  const about = await next()
  const seconds = async (texts) => {
    child.stdin.write(`${JSON.stringify(texts)}\n`)
    return (await next()).seconds
  }
  return { ...about, seconds, stop: () => child.stdin.end() }
}

async function timed(call) {
  const started = performance.now()
  await call()
  return (performance.now() - started) / 1000
}

/** Worst and mean cosine between the device's vectors and fp32 on the processor, over texts of all lengths. */
async function agreementWithProcessor(embedder) {
  const exact = await Embedder.load({ model: CHECKPOINT, precision: 'fp32', cache: false, onTruncated: () => undefined })
  const { texts } = mixedTexts(embedder, 500, 2)
  const [there, here] = [await embedder.embedBatch(texts), await exact.embedBatch(texts)]
  const { dimensions } = embedder
  const agreement = cosines(there.data, here.data, dimensions)
  exact.dispose()
  const alone = await Promise.all(texts.slice(0, 50).map((text) => embedder.embed(text)))
  return {
    texts: texts.length,
    worst: Math.min(...agreement),
    mean: agreement.reduce((sum, value) => sum + value, 0) / agreement.length,
    worstAloneToTogether: Math.min(...alone.map((vector, row) => cosines(vector, there.row(row), dimensions)[0])),
  }
}

/** Seconds of every call, by implementation; the first calls of each are not counted, as they choose kernels. */
async function interleave(implementations, inputs, calls) {
  const times = Object.fromEntries(implementations.map(({ name }) => [name, []]))
  for (let call = -inputs.length; call < calls; call++) {
    for (const { name, seconds } of implementations) {
      const taken = await seconds(inputs.at(call % inputs.length))
      if (call >= 0) times[name].push(taken)
    }
  }
  return times
}

function resultOf(implementations, { latency, throughput, callers, agreement, loadSeconds }, info, peer) {
  const ms = (seconds) => (seconds * 1000).toFixed(2)
  const names = implementations.map(({ name }) => name)
  const latencyTable = (statistic) => ({
    title: `${statistic}, milliseconds per text, by tokens`,
    head: ['one text', ...LENGTHS.map(String)],
    rows: names.map((name) => [name, ...LENGTHS.map((tokens) => ms(summarize(latency[tokens][name])[statistic]))]),
  })
  const rate = {
    title: 'texts per second, by texts per call',
    head: ['mixed lengths', ...BATCHES.map(String)],
    rows: names.map((name) => [name, ...BATCHES.map((rows) => (rows / summarize(throughput[rows][name]).p50).toFixed(0))]),
  }
  const together = {
    title: 'texts per second, by callers that wait for one text each',
    head: ['mixed lengths', ...CALLERS.map(String)],
    rows: [[names[0], ...CALLERS.map((count) => (count / summarize(callers[count][names[0]]).p50).toFixed(0))]],
  }
  return {
    tables: [latencyTable('p50'), latencyTable('p99'), rate, together],
    notes: [
      `${info.model}, ${info.precision}, ONNX Runtime ${info.runtimeVersion}${peer === null ? '; CUDA_PYTHON was not given, so there is no baseline' : `; ${peer.device}, CUDA ${peer.cuda}`}; from the string to the vector in memory.`,
      `Loading: ${loadSeconds.toFixed(2)} s. Cosine to fp32 on the processor, ${String(agreement.texts)} texts: worst ${agreement.worst.toFixed(6)}, mean ${agreement.mean.toFixed(6)}; ` +
        `a text alone to itself in a batch: worst ${agreement.worstAloneToTogether.toFixed(6)}.`,
    ],
    targets: [],
    measurements: { latency, throughput, callers, agreement, loadSeconds },
  }
}

await runBench(TITLE, QUESTION, measure)
