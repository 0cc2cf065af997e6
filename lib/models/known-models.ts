// The models that gabion knows by name. Sizes are those of the published configurations; a folder's own files always win.

/** A model that has a name here. */
export interface KnownModel {
  name: string
  /** Who publishes it, under which identifier. */
  identifier: string
  architecture: 'BERT' | 'MPNet' | 'XLM-RoBERTa'
  layers: number
  dimensions: number
  /** In tokens; null where published copies differ and only the folder says. */
  maxSequenceLength: number | null
  languages: 'English' | 'multilingual'
  /** SPDX identifier. */
  licence: string
  /** Whether it comes with the package. */
  bundled: boolean
  /** Whether {@link convertModel} can make its graphs. */
  convertible: boolean
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
    licence: 'Apache-2.0',
    bundled: true,
    convertible: true,
  },
  {
    name: 'all-MiniLM-L12-v2',
    identifier: `${publisher}/all-MiniLM-L12-v2`,
    architecture: 'BERT',
    layers: 12,
    dimensions: 384,
    maxSequenceLength: null,
    languages: 'English',
    licence: 'Apache-2.0',
    bundled: false,
    convertible: true,
  },
  {
    name: 'all-mpnet-base-v2',
    identifier: `${publisher}/all-mpnet-base-v2`,
    architecture: 'MPNet',
    layers: 12,
    dimensions: 768,
    maxSequenceLength: 384,
    languages: 'English',
    licence: 'Apache-2.0',
    bundled: false,
    convertible: false,
  },
  {
    name: 'paraphrase-multilingual-mpnet-base-v2',
    identifier: `${publisher}/paraphrase-multilingual-mpnet-base-v2`,
    architecture: 'XLM-RoBERTa',
    layers: 12,
    dimensions: 768,
    maxSequenceLength: 128,
    languages: 'multilingual',
    licence: 'Apache-2.0',
    bundled: false,
    convertible: false,
  },
]

/** The name that is meant when none is given. */
export const DEFAULT_MODEL = 'all-MiniLM-L6-v2'

/** Finds a known model by its name or its publisher's identifier; undefined if there is none. */
export function findKnownModel(name: string): KnownModel | undefined {
  return KNOWN_MODELS.find((model) => model.name === name || model.identifier === name)
}
