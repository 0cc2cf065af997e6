//! How a call fails across the C interface: the status, the text of the last failure on this thread, and the one guard that
//! every exported function runs in. Knows nothing of tokenizers.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// The statuses of `gabion_tokenizer.h`, with the same numbers.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 0,
    InvalidArgument = 1,
    InvalidUtf8 = 2,
    BadModel = 3,
    Tokenize = 4,
    BufferTooSmall = 5,
    Panic = 6,
}

/// Why a call failed: the status that the caller branches on, and the text for people.
#[derive(Debug)]
pub struct Failure {
    pub status: Status,
    pub reason: String,
}

impl Failure {
    pub fn new(status: Status, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the body of an exported function: no panic leaves it, and a failure's text is kept for this thread.
///
/// Unwind safety: a handle is never changed after it was loaded, and out parameters are written last, so a panic half way
/// leaves nothing that a later call could see.
pub fn guard(body: impl FnOnce() -> Result<(), Failure>) -> Status {
    silence_panics();
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(failure)) => failure,
        Err(payload) => Failure::new(
            Status::Panic,
            format!("the tokenizer library panicked: {}", panic_text(&*payload)),
        ),
    };
    // Fails only while the thread's storage is torn down; the status alone then has to do.
    let _ = LAST_ERROR.try_with(|text| text.replace(failure.reason));
    failure.status
}

/// Hands the text of the last failure on this thread to `read`.
pub fn with_last_error<T>(read: impl FnOnce(&str) -> T) -> T {
    let text = LAST_ERROR.try_with(|text| text.borrow().clone()).unwrap_or_default();
    read(&text)
}

/// Keeps a caught panic from printing to the host's stderr. The standard library inside a static library is private to it, so
/// no other Rust code of the process is silenced. The test build keeps the hook that reports failed assertions.
fn silence_panics() {
    #[cfg(not(test))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    }
}

/// The message that a caught panic carries.
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}
