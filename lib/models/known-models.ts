// Owns the list of known models. Sizes are those of the published configurations; a folder's own files take precedence.

/** A model that has a name here. */
export interface KnownModel {
  name: string
  /** The publisher's identifier. */
  identifier: string
  architecture: 'BERT' | 'MPNet' | 'XLM-RoBERTa'
  layers: number
  dimensions: number
  /** In tokens; null where published copies differ. */
  maxSequenceLength: number | null
  languages: 'English' | 'multilingual'
  /** SPDX identifier. */
  license: string
  /** Weights of the published checkpoint, in millions. */
  parametersInMillions: number
  /** Of the published checkpoint, which is in float32. */
  downloadMegabytes: number
  /** Recommended use. */
  bestFor: string
  /** Recommended machine. */
  hardware: { memoryGigabytes: number; cores: number }
  /** Whether the package includes it. */
  bundled: boolean
}

const publisher = 'sentence-transformers'

/** Every known model; the first is the default. */
export const KNOWN_MODELS: readonly KnownModel[] = [
  {
    name: 'all-MiniLM-L6-v2',
    identifier: `${publisher}/all-MiniLM-L6-v2`,
    architecture: 'BERT',
    layers: 6,
    dimensions: 384,
    maxSequenceLength: 256,
    languages: 'English',
    license: 'Apache-2.0',
    parametersInMillions: 22.7,
    downloadMegabytes: 91,
    bestFor: 'speed: live conversations, small machines',
    hardware: { memoryGigabytes: 1, cores: 1 },
    bundled: true,
  },
  {
    name: 'all-MiniLM-L12-v2',
    identifier: `${publisher}/all-MiniLM-L12-v2`,
    architecture: 'BERT',
    layers: 12,
    dimensions: 384,
    maxSequenceLength: null,
    languages: 'English',
    license: 'Apache-2.0',
    parametersInMillions: 33.4,
    downloadMegabytes: 133,
    bestFor: 'a little more accuracy at half the speed',
    hardware: { memoryGigabytes: 1, cores: 2 },
    bundled: false,
  },
  {
    name: 'all-mpnet-base-v2',
    identifier: `${publisher}/all-mpnet-base-v2`,
    architecture: 'MPNet',
    layers: 12,
    dimensions: 768,
    maxSequenceLength: 384,
    languages: 'English',
    license: 'Apache-2.0',
    parametersInMillions: 109.5,
    downloadMegabytes: 438,
    bestFor: 'the best English vectors of the four, where latency matters less',
    hardware: { memoryGigabytes: 2, cores: 4 },
    bundled: false,
  },
  {
    name: 'paraphrase-multilingual-mpnet-base-v2',
    identifier: `${publisher}/paraphrase-multilingual-mpnet-base-v2`,
    architecture: 'XLM-RoBERTa',
    layers: 12,
    dimensions: 768,
    maxSequenceLength: 128,
    languages: 'multilingual',
    license: 'Apache-2.0',
    parametersInMillions: 278,
    downloadMegabytes: 1112,
    bestFor: 'conversations in other languages than English, or in several',
    hardware: { memoryGigabytes: 4, cores: 4 },
    bundled: false,
  },
]

/** The name that is meant when none is given. */
export const DEFAULT_MODEL = 'all-MiniLM-L6-v2'

/** Finds a known model by its name or its publisher's identifier; undefined if there is none. */
export function findKnownModel(name: string): KnownModel | undefined {
  return KNOWN_MODELS.find((model) => model.name === name || model.identifier === name)
}
