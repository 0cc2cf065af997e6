// C interface of the tokenizer library: text (UTF-8) in, token ids out. It knows nothing of models, vectors or Node.
//
// Ownership  A handle from gabion_tokenizer_load belongs to the caller, which frees it once with gabion_tokenizer_free.
//            The library retains no pointer that it was given: JSON, text and buffers may be freed after the call.
// Threads    A loaded handle never changes. Any number of threads may encode with one handle at the same time without
//            a lock; only gabion_tokenizer_free must come after the last call that uses the handle.
// Failures   Every function but the last three returns a GabionTokenizerStatus. On any status but OK the out parameters
//            are left as they were, unless said otherwise, and gabion_tokenizer_last_error gives the reason on the
//            same thread. No call aborts the process: a fault of the library is returned as GABION_TOKENIZER_PANIC.
#ifndef GABION_TOKENIZER_H
#define GABION_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum GabionTokenizerStatus {
  GABION_TOKENIZER_OK = 0,
  // A pointer is null (only the pointer of an empty text may be), or max_tokens has no room for the special tokens.
  GABION_TOKENIZER_INVALID_ARGUMENT = 1,
  // The text is not valid UTF-8. Replace lone surrogates by U+FFFD before the call.
  GABION_TOKENIZER_INVALID_UTF8 = 2,
  // The JSON is broken, or is no tokenizer that this library can run.
  GABION_TOKENIZER_BAD_MODEL = 3,
  // The tokenizer refused this text.
  GABION_TOKENIZER_TOKENIZE = 4,
  // More ids than `capacity`; *token_count is their number. A capacity of max_tokens is always enough.
  GABION_TOKENIZER_BUFFER_TOO_SMALL = 5,
  // A fault of the library. The handle stays usable.
  GABION_TOKENIZER_PANIC = 6
} GabionTokenizerStatus;

// A loaded tokenizer.
typedef struct gabion_tokenizer gabion_tokenizer;

// Reads a Hugging Face tokenizer.json. Padding and truncation that the file asks for are switched off: the caller runs
// every text at its own length, and passes the model's limit per call.
//
// json, len   the file's bytes.
// truncation  what stays of a text that is too long: 1 its beginning, 2 its end, 0 what the file's own truncation says
//             (its beginning where there is none).
// out         receives the handle; set to null on failure.
int gabion_tokenizer_load(const uint8_t* json, size_t len, int truncation, gabion_tokenizer** out);

// Turns one text into token ids, special tokens included.
//
// text, len   UTF-8 bytes, not terminated; NUL is an ordinary character. `text` may be null if `len` is 0.
// max_tokens  the maximum number of ids, special tokens included. A longer text loses its tail or its head, not its
// special
//             tokens.
//             At least 1 and at least the number of special tokens, else INVALID_ARGUMENT.
// ids         receives *token_count ids. int64, as the models' graphs take them.
// capacity    how many ids `ids` can hold. `ids` may be null if it is 0, which only counts.
// token_count receives the number of ids after truncation, also with BUFFER_TOO_SMALL (`ids` is unchanged then).
// total_token_count  receives the number of ids before truncation; if it is greater than token_count, the text was
//             truncated. Also set with BUFFER_TOO_SMALL.
int gabion_tokenizer_encode(const gabion_tokenizer* tokenizer, const uint8_t* text, size_t len, size_t max_tokens,
                            int64_t* ids, size_t capacity, size_t* token_count, size_t* total_token_count);

// Receives one window of a text: its ids, special tokens included, and the bytes [start, end) of the text that they
// cover. The ids are valid until it returns. It must not throw and must not jump.
typedef void (*gabion_tokenizer_each_window)(void* context, const int64_t* ids, size_t count, size_t start, size_t end);

// Divides one text into overlapping windows and passes each to `each` in reading order, on the calling thread.
//
// text, len   as above. A text without any token has no window.
// size        maximum number of tokens of a window, special tokens not counted.
// stride      tokens from the start of a window to the start of the next, from 1 to `size`, else INVALID_ARGUMENT.
//             The first window that reaches the end of the text is the last one, and may be shorter. A single window
//             covers all bytes.
// context     passed to `each` unchanged.
int gabion_tokenizer_windows(const gabion_tokenizer* tokenizer, const uint8_t* text, size_t len, size_t size,
                             size_t stride, gabion_tokenizer_each_window each, void* context);

// Lists the special tokens around one text, or between and around two (`pair` is not 0), in their order.
//
// ids       receives *count places: a special token's id; -1 in the place of the first text's tokens, -2 in the place
// of
//           the second's.
// types     receives the type (token_type_ids) of the tokens in each place.
// capacity  how many places `ids` and `types` can hold.
// count     receives the number of places, also with BUFFER_TOO_SMALL (`ids` and `types` are unchanged then).
int gabion_tokenizer_template(const gabion_tokenizer* tokenizer, int pair, int64_t* ids, uint8_t* types,
                              size_t capacity, size_t* count);

// The largest id that the tokenizer can produce, added tokens included: it must be below the number of the model's
// token embeddings.
int gabion_tokenizer_max_id(const gabion_tokenizer* tokenizer, uint32_t* out);

// The maximum bytes of memory that a text of `len` bytes takes while it is tokenized or, if `windows` is not 0, divided
// into windows. Rust aborts the process when an allocation fails, so a caller short of memory checks first. 0 for null.
size_t gabion_tokenizer_memory(const gabion_tokenizer* tokenizer, size_t len, int windows);

// Frees a handle, which may be null. Never fails, and does not change the last error.
void gabion_tokenizer_free(gabion_tokenizer* tokenizer);

// The reason of the last failed call on this thread, as UTF-8; empty if none failed yet. A success does not change it.
//
// buffer    receives as much as fits with a terminating NUL, cut between characters. May be null if `capacity` is 0.
// returns   the bytes of the whole text without the NUL: if it is not below `capacity`, the copy was truncated.
size_t gabion_tokenizer_last_error(char* buffer, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
