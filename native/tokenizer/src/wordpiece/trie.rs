//! The vocabulary as a double-array trie over bytes: the longest prefix match with one table load per byte. Knows nothing of
//! normalization, of `##` or of unknown words.
//!
//! A node is its *base*, and its child for byte `b` is slot `base ^ b`, if that slot has the label `b`. No two nodes share a base, so the
//! label alone proves that the child belongs to this node. The bases of the first block are unused: 0 means "no children".

use std::collections::VecDeque;

/// Marks a node at which no token ends. No vocabulary may use it as an id.
const NO_TOKEN: u32 = u32::MAX;

/// Maximum number of slots: a base shares 32 bits with a label.
const MAX_SLOTS: usize = 1 << 24;

const BLOCK: usize = 256;

/// Number of blocks whose free slots may still be filled. More makes the table a little smaller and building it slower.
const OPEN_BLOCKS: usize = 4;

/// A node: the base of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node(u32);

/// A token found at the front of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    pub id: u32,
    /// ByteTable of the word that it takes.
    pub length: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    /// The id of the token that ends here, or [`NO_TOKEN`].
    token: u32,
    /// The base of this node in the upper 24 bits, the label in the lower 8. A free slot has label 0, which no token has.
    base_and_label: u32,
}

impl Slot {
    const FREE: Self = Self {
        token: NO_TOKEN,
        base_and_label: 0,
    };

    fn label(self) -> u8 {
        self.base_and_label as u8
    }

    fn base(self) -> u32 {
        self.base_and_label >> 8
    }
}

/// A set of tokens and their ids. Never changes.
pub struct Trie {
    slots: Vec<Slot>,
    root: Node,
}

impl Trie {
    /// Builds the trie of `tokens`, which are sorted by their bytes, without duplicates, and neither empty nor with a NUL byte.
    ///
    /// `None` if an id is not below 2³² − 1 or the table would have more than 2²⁴ slots.
    pub fn build(tokens: &[(&[u8], u32)]) -> Option<Self> {
        let mut builder = Builder {
            // The first block, whose bases are unused.
            slots: vec![Slot::FREE; BLOCK],
            open: VecDeque::new(),
        };
        let root = builder.insert(tokens)?;
        builder.slots.shrink_to_fit();
        Some(Self {
            slots: builder.slots,
            root: Node(root),
        })
    }

    /// The node at which words start.
    pub fn root(&self) -> Node {
        self.root
    }

    /// The node that `prefix` leads to, or one without children.
    pub fn node(&self, prefix: &[u8]) -> Node {
        let mut node = self.root;
        for &byte in prefix {
            match self.child(node, byte) {
                Some(slot) => node = Node(slot.base()),
                None => return Node(0),
            }
        }
        node
    }

    /// The longest token below `node` that `word` starts with.
    #[inline]
    pub fn longest_match(&self, node: Node, word: &[u8]) -> Option<Match> {
        let mut node = node;
        let mut found = Match {
            id: NO_TOKEN,
            length: 0,
        };
        for (index, &byte) in word.iter().enumerate() {
            let Some(slot) = self.child(node, byte) else { break };
            if slot.token != NO_TOKEN {
                found = Match {
                    id: slot.token,
                    length: index + 1,
                };
            }
            node = Node(slot.base());
        }
        (found.id != NO_TOKEN).then_some(found)
    }

    /// Memory of the table in bytes.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    #[inline]
    fn child(&self, node: Node, byte: u8) -> Option<Slot> {
        let slot = self.slots[node.0 as usize ^ usize::from(byte)];
        (slot.label() == byte).then_some(slot)
    }
}

/// 256 slots or bases of a block, one bit each.
#[derive(Clone, Copy)]
struct Bits([u64; 4]);

impl Bits {
    const ALL: Self = Self([u64::MAX; 4]);

    fn clear(&mut self, index: usize) {
        self.0[index / 64] &= !(1 << (index % 64));
    }

    fn has(self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    /// The first set bit that satisfies the predicate.
    fn find(self, mut predicate: impl FnMut(usize) -> bool) -> Option<usize> {
        for (word, mut bits) in self.0.into_iter().enumerate() {
            while bits != 0 {
                let index = word * 64 + bits.trailing_zeros() as usize;
                if predicate(index) {
                    return Some(index);
                }
                bits &= bits - 1;
            }
        }
        None
    }

    fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    fn first(self) -> Option<usize> {
        let word = self.0.iter().position(|&word| word != 0)?;
        Some(word * 64 + self.0[word].trailing_zeros() as usize)
    }

    /// The set whose bit `i` is this set's bit `i ^ label`: for free slots, the bases whose child `label` has a free slot.
    fn permuted_by(self, label: u8) -> Self {
        const HALVES: [u64; 6] = [
            0x5555_5555_5555_5555,
            0x3333_3333_3333_3333,
            0x0F0F_0F0F_0F0F_0F0F,
            0x00FF_00FF_00FF_00FF,
            0x0000_FFFF_0000_FFFF,
            0x0000_0000_FFFF_FFFF,
        ];
        Self(std::array::from_fn(|word| {
            let mut bits = self.0[word ^ usize::from(label >> 6)];
            for (power, half) in HALVES.into_iter().enumerate() {
                if label & (1 << power) != 0 {
                    let by = 1 << power;
                    bits = ((bits >> by) & half) | ((bits & half) << by);
                }
            }
            bits
        }))
    }
}

/// A block with free slots.
struct OpenBlock {
    first: usize,
    free: Bits,
    unused_bases: Bits,
}

struct Builder {
    slots: Vec<Slot>,
    open: VecDeque<OpenBlock>,
}

/// Tokens that share their first `depth` bytes, and the slot that receives the base of their node.
struct Pending {
    from: usize,
    to: usize,
    depth: usize,
    slot: usize,
}

impl Builder {
    /// Places all nodes, parents before children, and returns the root's base.
    fn insert(&mut self, tokens: &[(&[u8], u32)]) -> Option<u32> {
        let mut root = 0;
        let mut labels: Vec<(u8, usize)> = Vec::with_capacity(BLOCK);
        let mut pending = vec![Pending {
            from: 0,
            to: tokens.len(),
            depth: 0,
            slot: usize::MAX,
        }];
        while let Some(Pending { from, to, depth, slot }) = pending.pop() {
            let mut start = from;
            // Sorted: a token that ends here is the first of its group.
            if depth > 0 && tokens[start].0.len() == depth {
                if tokens[start].1 == NO_TOKEN {
                    return None;
                }
                self.slots[slot].token = tokens[start].1;
                start += 1;
            }
            if start == to {
                continue;
            }
            labels.clear();
            for (index, (token, _)) in tokens.iter().enumerate().take(to).skip(start) {
                let label = token[depth];
                if labels.last().is_none_or(|&(last, _)| last != label) {
                    labels.push((label, index));
                }
            }
            let base = self.find_base(&labels)?;
            match self.slots.get_mut(slot) {
                Some(slot) => slot.base_and_label |= base << 8,
                None => root = base,
            }
            // The first child is placed next and close to its parent.
            for (position, &(label, from)) in labels.iter().enumerate().rev() {
                pending.push(Pending {
                    from,
                    to: labels.get(position + 1).map_or(to, |next| next.1),
                    depth: depth + 1,
                    slot: base as usize ^ usize::from(label),
                });
            }
        }
        Some(root)
    }

    /// Finds a base for a node with these children, and takes their slots.
    fn find_base(&mut self, labels: &[(u8, usize)]) -> Option<u32> {
        let fit = |block: &OpenBlock| match labels {
            // Most nodes have one child: searching its slot is faster than computing all possible bases.
            [(label, _)] => block
                .free
                .find(|slot| block.unused_bases.has(slot ^ usize::from(*label)))
                .map(|slot| slot ^ usize::from(*label)),
            _ => labels
                .iter()
                .try_fold(block.unused_bases, |bases, &(label, _)| {
                    let left = bases.and(block.free.permuted_by(label));
                    (left.0 != [0; 4]).then_some(left)
                })?
                .first(),
        };
        let mut found = self
            .open
            .iter()
            .enumerate()
            .find_map(|(index, block)| Some((index, fit(block)?)));
        if found.is_none() {
            self.open_block();
            let last = self.open.len() - 1;
            found = fit(&self.open[last]).map(|base| (last, base));
        }
        let (index, base) = found?;
        let block = &mut self.open[index];
        block.unused_bases.clear(base);
        for &(label, _) in labels {
            let within = base ^ usize::from(label);
            block.free.clear(within);
            self.slots[block.first + within].base_and_label = u32::from(label);
        }
        let base = block.first + base;
        (base < MAX_SLOTS).then_some(base as u32)
    }

    fn open_block(&mut self) {
        if self.open.len() == OPEN_BLOCKS {
            self.open.pop_front();
        }
        let first = self.slots.len();
        self.slots.resize(first + BLOCK, Slot::FREE);
        self.open.push_back(OpenBlock {
            first,
            free: Bits::ALL,
            unused_bases: Bits::ALL,
        });
    }
}
