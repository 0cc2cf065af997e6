// What the rest of gabion may use of the converter.

export { convertModel, CONVERTER_VERSION, writeGraphManifest, type ConversionProgress, type ConvertOptions } from './convert-model.js'
export { GRAPH_INPUT, GRAPH_OUTPUT } from './encoder-graph.js'
export { WEIGHT_LAYOUT_VERSION } from './weight-layout.js'
export { makeFolder } from './new-folder.js'
export { conversionCache, prepareModel, type PreparationOptions, type PreparationProgress } from './prepared-model.js'
export { listKeptModels, locateModel } from './kept-models.js'
