// Owns the names of all settings in a model folder's files that gabion knows, whether it reads them, refuses them or knows that they have
// no effect on a vector. What is not in these lists is reported when a model is loaded. docs/models.md has the table for users.

import type { JsonObject } from '../json/json-object.js'
import { GabionError } from '../errors.js'

/**
 * Names of the Transformer module's own file, in the order in which sentence-transformers looks for them; the first that is there and not
 * empty is used.
 */
export const TRANSFORMER_FILES = [
  'sentence_bert_config.json',
  'sentence_roberta_config.json',
  'sentence_distilbert_config.json',
  'sentence_camembert_config.json',
  'sentence_albert_config.json',
  'sentence_xlm-roberta_config.json',
  'sentence_xlnet_config.json',
] as const

const POOLING_MODES = ['cls_token', 'mean_tokens', 'max_tokens', 'mean_sqrt_len_tokens', 'weightedmean_tokens', 'lasttoken']
const SPECIAL_TOKENS = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']

/** Of encoders whose weights gabion reads itself. */
const ENCODER = [
  ...['model_type', 'hidden_act', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'intermediate_size', 'vocab_size'],
  ...['max_position_embeddings', 'type_vocab_size', 'layer_norm_eps', 'pad_token_id', 'position_embedding_type', 'is_decoder'],
  ...['relative_attention_num_buckets', 'quantization_config', 'pruned_heads', 'tokenizer_class'],
  // DistilBERT's own names.
  ...['activation', 'dim', 'hidden_dim', 'n_heads', 'n_layers', 'sinusoidal_pos_embds'],
  // Without effect on an encoder's output: training, generation, heads, names, how Python stores or runs it.
  ...['dropout', 'attention_dropout', 'qa_dropout', 'seq_classif_dropout', 'tie_weights_'],
  ...['architectures', 'attention_probs_dropout_prob', 'hidden_dropout_prob', 'classifier_dropout', 'initializer_range', 'dtype'],
  ...['torch_dtype', 'transformers_version', 'use_cache', 'add_cross_attention', 'tie_word_embeddings', 'bos_token_id', 'eos_token_id'],
  ...['sep_token_id', 'cls_token_id', 'mask_token_id', 'unk_token_id', 'gradient_checkpointing', 'output_past', 'output_hidden_states'],
  ...['output_attentions', 'return_dict', 'torchscript', 'tie_encoder_decoder', 'cross_attention_hidden_size', 'chunk_size_feed_forward'],
  ...['is_encoder_decoder', 'decoder_start_token_id', 'finetuning_task', 'id2label', 'label2id', 'num_labels', 'problem_type', 'task'],
  ...['task_specific_params', 'prefix', 'name_or_path', '_name_or_path', '_attn_implementation_autoset', '_attn_implementation'],
  ...['attn_implementation', 'use_return_dict', 'use_bfloat16', 'tf_legacy_loss', 'pooler_fc_size', 'pooler_num_attention_heads'],
  ...['pooler_num_fc_layers', 'pooler_size_per_head', 'pooler_type', 'directionality', 'emb_size', 'adapters', 'auto_map', '_num_labels'],
  ...['max_length', 'min_length', 'do_sample', 'early_stopping', 'num_beams', 'num_beam_groups', 'diversity_penalty', 'temperature'],
  ...['top_k', 'top_p', 'typical_p', 'repetition_penalty', 'length_penalty', 'no_repeat_ngram_size', 'num_return_sequences'],
  ...['encoder_no_repeat_ngram_size', 'bad_words_ids', 'output_scores', 'return_dict_in_generate', 'forced_bos_token_id'],
  ...['forced_eos_token_id', 'remove_invalid_values', 'exponential_decay_length_penalty', 'suppress_tokens', 'begin_suppress_tokens'],
  ...['is_composition', 'sentence_transformers', 'summary_type', 'model_name', 'gabion'],
] as const

/** Of ModernBERT, NomicBERT and GTE besides. */
const ROTARY_ENCODER = [
  ...ENCODER,
  ...['rope_parameters', 'rope_scaling', 'rope_theta', 'head_dim', 'norm_eps', 'norm_bias', 'hidden_activation', 'mlp_bias'],
  ...['attention_bias', 'layer_types', 'local_attention', 'global_attn_every_n_layers', 'global_rope_theta', 'local_rope_theta'],
  ...['layer_norm_type', 'pack_qkv', 'logn_attention_scale', 'activation_function', 'prenorm', 'parallel_block', 'causal'],
  ...['use_rms_norm', 'rotary_emb_fraction', 'rotary_emb_base', 'rotary_emb_interleaved', 'rotary_scaling_factor'],
  ...['rotary_emb_scale_base', 'mlp_fc1_bias', 'num_experts', 'moe_every_n_layers', 'scale_attn_weights'],
  ...['scale_attn_by_inverse_layer_idx', 'layer_norm_epsilon', 'n_embd', 'n_head', 'n_inner', 'n_layer', 'n_positions', 'qkv_proj_bias'],
  ...['mlp_fc2_bias'],
  // Without effect: what only training, other heads, longer inputs or other processors need.
  ...['max_trained_positions', 'logn_attention_clip1', 'use_memory_efficient_attention', 'unpad_inputs', 'use_flash_attn'],
  ...['use_xentropy', 'fused_bias_fc', 'fused_dropout_add_ln', 'dense_seq_output', 'pad_vocab_size_multiple', 'parallel_block_tied_norm'],
  ...['attn_pdrop', 'embd_pdrop', 'resid_pdrop', 'reorder_and_upcast_attn', 'summary_activation', 'summary_first_dropout'],
  ...['summary_proj_to_labels', 'summary_use_proj', 'classifier_activation', 'classifier_bias', 'classifier_pooling', 'decoder_bias'],
  ...['deterministic_flash_attn', 'embedding_dropout', 'mlp_dropout', 'initializer_cutoff_factor', 'sparse_pred_ignore_index'],
  ...['sparse_prediction', 'repad_logits_with_grad', 'reference_compile'],
] as const

/** Known settings by kind of file. */
export const KNOWN_SETTINGS = {
  sentenceTransformers: [
    ...['__version__', 'prompts', 'default_prompt_name', 'similarity_fn_name', 'truncate_dim', 'model_type', 'requirements'],
  ],
  module: ['idx', 'name', 'path', 'type', 'kwargs'],
  pooling: [
    ...['word_embedding_dimension', 'embedding_dimension', 'pooling_mode', 'include_prompt'],
    ...POOLING_MODES.map((mode) => `pooling_mode_${mode}`),
  ],
  dense: ['in_features', 'out_features', 'bias', 'activation_function', 'module_input_name', 'module_output_name', 'use_residual'],
  layerNorm: ['dimension'],
  normalize: ['module_input_name', 'module_output_name'],
  transformer: [
    ...['max_seq_length', 'do_lower_case', 'transformer_task', 'modality_config', 'module_output_name', 'processing_kwargs'],
    ...['unpad_inputs', 'query_length', 'document_length', 'query_expansion', 'tokenizer_name_or_path'],
    ...['model_args', 'model_kwargs', 'tokenizer_args', 'processor_kwargs', 'config_args', 'config_kwargs'],
  ],
  tokenizer: [
    ...['model_max_length', 'max_len', 'truncation_side', 'tokenizer_class', 'do_lower_case', 'strip_accents', 'tokenize_chinese_chars'],
    ...['split_special_tokens', 'add_prefix_space', 'added_tokens_decoder', 'extra_special_tokens', 'additional_special_tokens'],
    ...['model_specific_special_tokens', 'fix_mistral_regex', ...SPECIAL_TOKENS],
    // Without effect on the ids of one text: padding, decoding, chat templates, where the tokenizer came from.
    ...['padding_side', 'pad_to_multiple_of', 'pad_token_type_id', 'padding', 'truncation', 'max_length', 'stride', 'truncation_strategy'],
    ...['clean_up_tokenization_spaces', 'spaces_between_special_tokens', 'model_input_names', 'processor_class', 'backend', 'use_fast'],
    ...[
      'name_or_path',
      'special_tokens_map_file',
      'tokenizer_file',
      'vocab_file',
      'merges_file',
      'sp_model_kwargs',
      'is_local',
      'from_slow',
    ],
    ...[
      'local_files_only',
      'auto_map',
      'init_inputs',
      'legacy',
      'errors',
      'trim_offsets',
      'keep_accents',
      'remove_space',
      'tokenizer_type',
    ],
    ...['chat_template', 'response_template', 'chat_control_tokens', 'response_schema', 'do_basic_tokenize', 'never_split', 'do_basic_tok'],
    ...[
      'add_bos_token',
      'add_eos_token',
      'wordpieces_prefix',
      'revision',
      'token',
      'cache_dir',
      'trust_remote_code',
      'return_token_type_ids',
    ],
  ],
  encoder: ENCODER,
  rotaryEncoder: ROTARY_ENCODER,
} as const satisfies Record<string, readonly string[]>

/** Collects what a folder's files contain that gabion does not know. */
export class UnknownSettings {
  readonly #found = new Map<string, string[]>()

  /** Adds what is unknown of an object; `place` names it for people, such as a file's name. */
  look(object: JsonObject | null, kind: keyof typeof KNOWN_SETTINGS, place: string): void {
    const known: readonly string[] = KNOWN_SETTINGS[kind]
    const unknown = Object.keys(object?.fields ?? {}).filter((key) => !known.includes(key))
    if (unknown.length > 0) this.#found.set(place, [...(this.#found.get(place) ?? []), ...unknown])
  }

  /** A sentence per place. */
  warnings(): string[] {
    return [...this.#found].map(([place, keys]) => {
      const names = [...new Set(keys)].map((key) => `'${key}'`).join(', ')
      return `${place}: gabion does not know ${names} and did not read ${keys.length === 1 ? 'it' : 'them'}`
    })
  }
}

/** The error of a setting that gabion does not do. */
export function unsupportedSetting({ source, fields }: Pick<JsonObject, 'source' | 'fields'>, key: string, what: string): GabionError {
  return new GabionError('MODEL_UNSUPPORTED', `${source}: ${key} ${JSON.stringify(fields[key])} ${what}`)
}
