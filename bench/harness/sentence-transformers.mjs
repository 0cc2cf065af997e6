// sentence-transformers in its own Python process, one request at a time, so that it is measured interleaved with the others.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PYTHON = fileURLToPath(new URL('../../build/golden/bin/python', import.meta.url))
const WORKER = fileURLToPath(new URL('sentence_transformers_worker.py', import.meta.url))

/** Whether the Python environment of the tests is there (`npm run setup -- --for test` makes it). */
export function hasSentenceTransformers() {
  return existsSync(PYTHON)
}

/**
 * Starts the process and loads a model folder.
 *
 * @param {string} folder
 * @param {number} threads of PyTorch
 * @returns {Promise<{ torch: string, vector: number[], times: (texts: readonly string[]) => Promise<number[]>, stop: () => void }>}
 *   `vector` is that of "The first text."; `times` gives microseconds of each text, timed in Python
 */
export async function startSentenceTransformers(folder, threads) {
  // The process must not look for the hub, whatever the machine has.
  const env = { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: String(threads) }
  const child = spawn(PYTHON, [WORKER, folder, String(threads)], { env, stdio: ['pipe', 'pipe', 'ignore'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`sentence-transformers ended (${folder})`)
    return JSON.parse(value)
  }
  const { torch, vector } = await next()
  const times = async (texts) => {
    child.stdin.write(`${JSON.stringify(texts)}\n`)
    return next()
  }
  return { torch, vector, times, stop: () => child.stdin.end() }
}
