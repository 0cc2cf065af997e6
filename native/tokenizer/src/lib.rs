//! The C interface of the tokenizer: `gabion_tokenizer.h` is its contract. Here pointers are checked and turned into Rust
//! values; the work is in `text_tokenizer`, the handling of failures in `failure`.

mod failure;
mod hugging_face;
mod template;
mod text_tokenizer;
mod unigram;
mod window;
mod wordpiece;

#[cfg(test)]
mod tests;

use failure::{guard, with_last_error, Failure, Status};
use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;
use text_tokenizer::{Kept, TextTokenizer};

/// Loads a tokenizer.json; see the header.
///
/// # Safety
/// `json` must point to `len` readable bytes and `out` to a writable pointer, or be null.
#[no_mangle]
pub unsafe extern "C" fn gabion_tokenizer_load(
    json: *const u8,
    len: usize,
    truncation: c_int,
    out: *mut *mut TextTokenizer,
) -> c_int {
    let status = guard(|| {
        require(out, "out")?;
        // SAFETY: not null, and writable by the caller's promise.
        unsafe { out.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let json = unsafe { bytes(json, len, "json") }?;
        let kept = match truncation {
            1 => Some(Kept::Beginning),
            2 => Some(Kept::End),
            _ => None,
        };
        let tokenizer = Box::new(TextTokenizer::from_json(json, kept)?);
        // SAFETY: as above.
        unsafe { out.write(Box::into_raw(tokenizer)) };
        Ok(())
    });
    status as c_int
}

/// Turns a text into token ids; see the header.
///
/// # Safety
/// `tokenizer` must be a live handle, `text` point to `len` readable bytes, `ids` to `capacity` writable ids, `token_count`
/// and `total_token_count` to writable sizes; or be null.
#[no_mangle]
pub unsafe extern "C" fn gabion_tokenizer_encode(
    tokenizer: *const TextTokenizer,
    text: *const u8,
    len: usize,
    max_tokens: usize,
    ids: *mut i64,
    capacity: usize,
    token_count: *mut usize,
    total_token_count: *mut usize,
) -> c_int {
    let status = guard(|| {
        // SAFETY: a live handle or null by the caller's promise.
        let tokenizer = unsafe { tokenizer.as_ref() }.ok_or_else(|| null("tokenizer"))?;
        require(token_count, "token_count")?;
        require(total_token_count, "total_token_count")?;
        // SAFETY: the caller's promise.
        let (ids, text) = unsafe { (id_buffer(ids, capacity)?, utf8(text, len)?) };

        let counts = tokenizer.encode(text, max_tokens, ids)?;
        // SAFETY: both are not null, and writable by the caller's promise.
        unsafe {
            token_count.write(counts.token_count);
            total_token_count.write(counts.total_token_count);
        }
        if counts.token_count > capacity {
            let reason = format!("the buffer holds {capacity} ids, the text has {}", counts.token_count);
            return Err(Failure::new(Status::BufferTooSmall, reason));
        }
        Ok(())
    });
    status as c_int
}

/// Lists the special tokens around one text or between two; see the header.
///
/// # Safety
/// `tokenizer` must be a live handle, `ids` and `types` point to `capacity` writable values, `count` to a writable size; or be null.
#[no_mangle]
pub unsafe extern "C" fn gabion_tokenizer_template(
    tokenizer: *const TextTokenizer,
    pair: c_int,
    ids: *mut i64,
    types: *mut u8,
    capacity: usize,
    count: *mut usize,
) -> c_int {
    let status = guard(|| {
        // SAFETY: a live handle or null by the caller's promise.
        let tokenizer = unsafe { tokenizer.as_ref() }.ok_or_else(|| null("tokenizer"))?;
        require(count, "count")?;
        let slots = tokenizer.template(pair != 0)?;
        // SAFETY: not null, and writable by the caller's promise.
        unsafe { count.write(slots.len()) };
        if slots.len() > capacity {
            let reason = format!("the buffers hold {capacity} places, the template has {}", slots.len());
            return Err(Failure::new(Status::BufferTooSmall, reason));
        }
        require(ids, "ids")?;
        require(types, "types")?;
        for (index, slot) in slots.iter().enumerate() {
            // SAFETY: not null, and `index` is below the capacity.
            unsafe {
                ids.add(index).write(slot.id);
                types.add(index).write(slot.type_id);
            }
        }
        Ok(())
    });
    status as c_int
}

/// The callback that receives the windows of a text, one per call; see the header.
pub type EachWindow =
    unsafe extern "C" fn(context: *mut c_void, ids: *const i64, count: usize, start: usize, end: usize);

/// Divides a text into overlapping windows; see the header.
///
/// # Safety
/// `tokenizer` must be a live handle, `text` point to `len` readable bytes, or be null; `each` must take `context`.
#[no_mangle]
pub unsafe extern "C" fn gabion_tokenizer_windows(
    tokenizer: *const TextTokenizer,
    text: *const u8,
    len: usize,
    size: usize,
    stride: usize,
    each: Option<EachWindow>,
    context: *mut c_void,
) -> c_int {
    let status = guard(|| {
        // SAFETY: a live handle or null by the caller's promise.
        let tokenizer = unsafe { tokenizer.as_ref() }.ok_or_else(|| null("tokenizer"))?;
        let each = each.ok_or_else(|| null("each"))?;
        // SAFETY: the caller's promise.
        let text = unsafe { utf8(text, len) }?;
        for window in tokenizer.windows(text, size, stride)? {
            let ids: Vec<i64> = window.ids.into_iter().map(i64::from).collect();
            // SAFETY: the ids live until the call is back; the rest is the caller's promise.
            unsafe { each(context, ids.as_ptr(), ids.len(), window.bytes.start, window.bytes.end) };
        }
        Ok(())
    });
    status as c_int
}

/// Returns the largest id of the vocabulary; see the header.
///
/// # Safety
/// `tokenizer` must be a live handle and `out` point to a writable number, or be null.
#[no_mangle]
pub unsafe extern "C" fn gabion_tokenizer_max_id(tokenizer: *const TextTokenizer, out: *mut u32) -> c_int {
    let status = guard(|| {
        // SAFETY: a live handle or null by the caller's promise.
        let tokenizer = unsafe { tokenizer.as_ref() }.ok_or_else(|| null("tokenizer"))?;
        require(out, "out")?;
        // SAFETY: not null, and writable by the caller's promise.
        unsafe { out.write(tokenizer.max_id()) };
        Ok(())
    });
    status as c_int
}

/// Returns how much memory a text takes; see the header.
///
/// # Safety
/// `tokenizer` must be a live handle or null.
#[no_mangle]
pub unsafe extern "C" fn gabion_tokenizer_memory(tokenizer: *const TextTokenizer, len: usize, windows: c_int) -> usize {
    // SAFETY: a live handle or null by the caller's promise.
    let tokenizer = unsafe { tokenizer.as_ref() };
    tokenizer.map_or(0, |tokenizer| {
        len.saturating_mul(tokenizer.memory_per_byte(windows != 0))
    })
}

/// Ends a handle; see the header.
///
/// # Safety
/// `tokenizer` must be a handle that no call uses any more, or null.
#[no_mangle]
pub unsafe extern "C" fn gabion_tokenizer_free(tokenizer: *mut TextTokenizer) {
    if tokenizer.is_null() {
        return;
    }
    guard(|| {
        // SAFETY: made by `gabion_tokenizer_load`, and ended once, by the caller's promise.
        drop(unsafe { Box::from_raw(tokenizer) });
        Ok(())
    });
}

/// Copies the text of the last failure on this thread; see the header.
///
/// # Safety
/// `buffer` must point to `capacity` writable bytes, or be null with a capacity of 0.
#[no_mangle]
pub unsafe extern "C" fn gabion_tokenizer_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    let mut length = 0;
    guard(|| {
        with_last_error(|text| {
            length = text.len();
            if buffer.is_null() || capacity == 0 {
                return;
            }
            let mut end = length.min(capacity - 1);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            // SAFETY: `end + 1` is at most `capacity`, and the buffer is writable by the caller's promise.
            unsafe {
                std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, end);
                buffer.add(end).write(0);
            }
        });
        Ok(())
    });
    length
}

fn null(name: &str) -> Failure {
    Failure::new(Status::InvalidArgument, format!("{name} must not be null"))
}

fn require<T>(pointer: *const T, name: &str) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    Ok(())
}

/// A caller's bytes as a slice. Null is fine for no bytes.
///
/// # Safety
/// `pointer` must point to `len` bytes that stay as they are for `'a`, or be null.
unsafe fn bytes<'a>(pointer: *const u8, len: usize, name: &str) -> Result<&'a [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    require(pointer, name)?;
    if len > isize::MAX as usize {
        let reason = format!("{name} cannot have {len} bytes");
        return Err(Failure::new(Status::InvalidArgument, reason));
    }
    // SAFETY: not null, not longer than an object can be, and readable by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// A caller's text.
///
/// # Safety
/// As for [`bytes`].
unsafe fn utf8<'a>(pointer: *const u8, len: usize) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    let text = unsafe { bytes(pointer, len, "text") }?;
    std::str::from_utf8(text).map_err(|error| {
        Failure::new(
            Status::InvalidUtf8,
            format!("the text is not UTF-8 at byte {}", error.valid_up_to()),
        )
    })
}

/// A caller's buffer, which is only written. Null is fine for no ids.
///
/// # Safety
/// `pointer` must point to `capacity` ids that nobody else touches during `'a`, or be null.
unsafe fn id_buffer<'a>(pointer: *mut i64, capacity: usize) -> Result<&'a mut [MaybeUninit<i64>], Failure> {
    if capacity == 0 {
        return Ok(&mut []);
    }
    require(pointer, "ids")?;
    if capacity > isize::MAX as usize / size_of::<i64>() {
        let reason = format!("ids cannot hold {capacity} ids");
        return Err(Failure::new(Status::InvalidArgument, reason));
    }
    // SAFETY: not null, not longer than an object can be, and the caller's alone by its promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), capacity) })
}
