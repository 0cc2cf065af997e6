// The public names of gabion/testing: test doubles for code that uses gabion, without a model.

export { FakeEmbedder, type FakeEmbedderOptions } from './fake-embedder.js'
export { ScriptedDetector, type ScriptedState } from './scripted-detector.js'
