//! The special tokens around one text or between two, as a tokenizer's post-processor places them. Knows nothing of the C interface.

use tokenizers::{Encoding, Token};

/// In the place of the first text's tokens.
pub const FIRST: i64 = -1;
/// In the place of the second text's tokens.
pub const SECOND: i64 = -2;

/// One place of a template: a special token's id, [`FIRST`] or [`SECOND`], and the type of the tokens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub id: i64,
    pub type_id: u8,
}

/// Lists the places by a trial run on texts of one token each, with ids that no vocabulary has. Panics where the post-processor does:
/// some that name an unknown special token.
pub fn slots_of(
    post_process: impl FnOnce(Encoding, Option<Encoding>) -> tokenizers::Result<Encoding>,
    pair: bool,
) -> tokenizers::Result<Vec<Slot>> {
    const MARKS: [(u32, i64); 2] = [(u32::MAX - 1, FIRST), (u32::MAX, SECOND)];
    let text = |number: usize| {
        let token = Token::new(MARKS[number].0, String::new(), (0, 0));
        Encoding::from_tokens(vec![token], number as u32)
    };
    let encoding = post_process(text(0), pair.then(|| text(1)))?;
    let slots: Vec<Slot> = encoding
        .get_ids()
        .iter()
        .zip(encoding.get_type_ids())
        .map(|(&id, &type_id)| Slot {
            id: MARKS
                .iter()
                .find(|mark| mark.0 == id)
                .map_or(i64::from(id), |mark| mark.1),
            type_id: u8::try_from(type_id).unwrap_or(u8::MAX),
        })
        .collect();
    let count = |id: i64| slots.iter().filter(|slot| slot.id == id).count();
    if count(FIRST) != 1 || count(SECOND) != usize::from(pair) {
        return Err("its post-processor does not give each text's tokens once".into());
    }
    Ok(slots)
}
