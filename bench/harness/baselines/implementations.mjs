// All known implementations of this model on a CPU, and how each is started.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkpoint, graphs, models, officialRuntime, python, rustProgram } from './setup.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))

const inNode =
  (engine, folder, choice, env = {}) =>
  (threads) => ({ command: process.execPath, args: [join(here, 'node-child.mjs'), engine, folder, choice, String(threads)], env })

const inPython = (environment, engine) => (threads) => ({
  command: python(environment),
  args: [join(here, 'python_child.py'), engine, checkpoint, models, graphs, String(threads)],
})

const fastembed = (graph) => (threads) => ({
  command: rustProgram('fastembed'),
  args: [join(models, 'onnx', 'transformers.js'), String(threads), graph],
  env: { ORT_DYLIB_PATH: officialRuntime() },
})

const exported = join(models, 'onnx', 'transformers.js')
const [onnx, openvino, ctranslate2] = ['models: onnx', 'models: openvino', 'models: ctranslate2']

/**
 * `kind` is the arithmetic that a row is compared by; `parts` are the parts of set-up that it needs; `batch` is its best batch size.
 *
 * @type {{ name: string, kind: 'fp32' | 'bf16' | 'int8', own?: boolean, parts: string[], batch: number, start: (threads: number) => { command: string, args: string[], env?: Record<string, string> } }[]}
 */
export const implementations = [
  { name: 'gabion, bf16', kind: 'bf16', own: true, parts: [], batch: 32, start: inNode('gabion', '-', 'bf16') },
  { name: 'gabion, int8', kind: 'int8', own: true, parts: [], batch: 32, start: inNode('gabion', '-', 'int8') },
  { name: 'gabion, fp32', kind: 'fp32', own: true, parts: [], batch: 32, start: inNode('gabion', graphs, 'fp32') },
  { name: 'onnxruntime-node, fp32', kind: 'fp32', parts: [], batch: 1, start: inNode('onnxruntime-node', graphs, 'model_fp32.onnx') },
  { name: 'onnxruntime-node, int8', kind: 'int8', parts: [], batch: 1, start: inNode('onnxruntime-node', graphs, 'model_int8.onnx') },
  { name: 'transformers.js, fp32', kind: 'fp32', parts: [onnx], batch: 32, start: inNode('transformers.js', exported, 'fp32') },
  { name: 'transformers.js, q8', kind: 'int8', parts: [onnx], batch: 32, start: inNode('transformers.js', exported, 'q8') },
  {
    name: 'sentence-transformers, torch fp32',
    kind: 'fp32',
    parts: ['Python: main'],
    batch: 32,
    start: inPython('main', 'sentence-transformers'),
  },
  {
    name: 'sentence-transformers, ONNX fp32',
    kind: 'fp32',
    parts: [onnx],
    batch: 32,
    start: inPython('onnx', 'sentence-transformers-onnx'),
  },
  {
    name: 'sentence-transformers, ONNX int8',
    kind: 'int8',
    parts: [onnx],
    batch: 32,
    start: inPython('onnx', 'sentence-transformers-onnx-int8'),
  },
  {
    name: 'sentence-transformers, OpenVINO fp32',
    kind: 'fp32',
    parts: [openvino],
    batch: 32,
    start: inPython('openvino', 'sentence-transformers-openvino'),
  },
  {
    name: 'sentence-transformers, OpenVINO int8',
    kind: 'int8',
    parts: [openvino],
    batch: 32,
    start: inPython('openvino', 'sentence-transformers-openvino-int8'),
  },
  { name: 'onnxruntime (Python), fp32', kind: 'fp32', parts: ['Python: main'], batch: 1, start: inPython('main', 'onnxruntime') },
  { name: 'onnxruntime (Python), int8', kind: 'int8', parts: ['Python: main'], batch: 1, start: inPython('main', 'onnxruntime-int8') },
  { name: 'OpenVINO, fp32', kind: 'fp32', parts: [openvino, 'Python: main'], batch: 32, start: inPython('main', 'openvino') },
  { name: 'OpenVINO, bf16', kind: 'bf16', parts: [openvino, 'Python: main'], batch: 32, start: inPython('main', 'openvino-bf16') },
  { name: 'OpenVINO, int8', kind: 'int8', parts: [openvino, 'Python: main'], batch: 32, start: inPython('main', 'openvino-int8') },
  { name: 'CTranslate2, fp32', kind: 'fp32', parts: [ctranslate2], batch: 32, start: inPython('main', 'ctranslate2') },
  { name: 'CTranslate2, int8', kind: 'int8', parts: [ctranslate2], batch: 32, start: inPython('main', 'ctranslate2-int8') },
  {
    name: 'fastembed (Rust), fp32',
    kind: 'fp32',
    parts: [onnx, 'Rust: fastembed', 'runtime'],
    batch: 32,
    start: fastembed('onnx/model.onnx'),
  },
  {
    name: 'fastembed (Rust), int8',
    kind: 'int8',
    parts: [onnx, 'Rust: fastembed', 'runtime'],
    batch: 32,
    start: fastembed('onnx/model_quantized.onnx'),
  },
  {
    name: 'candle (Rust), fp32',
    kind: 'fp32',
    parts: ['checkpoint', 'Rust: candle'],
    batch: 32,
    start: (threads) => ({ command: rustProgram('candle'), args: [checkpoint, String(threads)] }),
  },
]
