// Entry point of this folder for the commands of `gabion detector`, which load it when they run.

export { readCorpus } from '../fitting/corpus.js'
export { VectorStore } from '../fitting/vector-store.js'
export { byConversation, highestStatistic, thresholdsFrom } from './conversation-scores.js'
export { evaluate } from './evaluate.js'
export { embedExchanges, exchangesOf } from './exchanges.js'
export { adaptHead } from './few-shot.js'
export { leaveOutPlan, measureScorer } from './leave-out.js'
export { prepareSets } from './prepare.js'
export { ownSet, VARIANTS } from './recipe.js'
export { controlScorers, headScorer } from './scorers.js'
export { logitsAtRunTime } from './train-head.js'
export { trainVariant } from './train.js'
