// gabion's own encoder needs no ONNX Runtime. A process that opens it later, for another graph, still ends in order while that graph runs.

import { readFileSync } from 'node:fs'
import { Embedder } from '../../../dist/index.js'
import { fail, mixedTexts, pause } from './texts.mjs'

const isOpen = () => readFileSync('/proc/self/maps', 'utf8').includes('libgabion_onnx')
const embedder = await Embedder.load({ cache: false })
if ((await embedder.embed('one text')).length !== 384) fail('no vector')
// Processors without the kernels' instruction sets run the graph of standard operators from the start.
if (process.argv[2] === 'own' && isOpen()) fail('ONNX Runtime was opened for the own encoder')

// With a graphics card first on the list the graph of standard operators is taken, which runs on the processor where there is none.
const standard = await Embedder.load({ cache: false, providers: ['cuda', 'cpu'], cudaLibrary: '/nowhere/libonnxruntime_providers_cuda.so' })
if (!isOpen()) fail('ONNX Runtime was not opened for the graph of standard operators')
if (!/^1\.\d+/.test(embedder.info.runtimeVersion)) fail(embedder.info.runtimeVersion)
void standard.embedBatch(mixedTexts(300))
void embedder.embedBatch(mixedTexts(300))
await pause(30)
console.log('done')
process.exit(7)
