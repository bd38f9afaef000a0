//! The list of all names: from a name to its place and back.

use crate::generated::names::{COUNT, TEXT};

/// Slots of the hash table, a power of two at least twice the number of names.
const SLOTS: usize = 2048;
const _: () = assert!(COUNT * 2 <= SLOTS);

/// No name here.
const EMPTY: u16 = u16::MAX;

/// Open addressing with linear probing; a slot holds a place.
static TABLE: [u16; SLOTS] = build();

/// Where each name starts in the text. It ends before the space that precedes the next one.
static STARTS: [u16; COUNT + 1] = starts();

/// The hash of every name. No two are alike, which [`build`] makes sure of.
static HASHES: [u32; COUNT] = hashes();

/// The place of a name in the sorted list of all names.
pub(crate) fn place(searched: &str) -> Option<u16> {
    let hash = hash(searched.as_bytes(), 0, searched.len());
    let mut slot = hash as usize % SLOTS;
    loop {
        match TABLE[slot] {
            EMPTY => return None,
            place if HASHES[usize::from(place)] == hash => {
                return (name(place) == searched).then_some(place);
            }
            _ => slot = (slot + 1) % SLOTS,
        }
    }
}

/// The name at a place.
pub(crate) fn name(place: u16) -> &'static str {
    let place = usize::from(place);
    &TEXT[usize::from(STARTS[place])..usize::from(STARTS[place + 1]) - 1]
}

/// [`place`] for the compiler, which need not look at the letters: the name is in the list.
pub(crate) const fn place_of_known(name: &str) -> u16 {
    let hash = hash(name.as_bytes(), 0, name.len());
    let mut slot = hash as usize % SLOTS;
    loop {
        assert!(TABLE[slot] != EMPTY, "a table has a name that the list of names lacks");
        if HASHES[TABLE[slot] as usize] == hash {
            return TABLE[slot];
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Equality that the compiler can evaluate.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// FNV-1a of a range of bytes, folded: names are short, and a few operations a byte beat a better
/// hash.
const fn hash(text: &[u8], from: usize, to: usize) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    let mut i = from;
    while i < to {
        hash = (hash ^ text[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash ^ (hash >> 15)
}

const fn starts() -> [u16; COUNT + 1] {
    let text = TEXT.as_bytes();
    assert!(text.len() < u16::MAX as usize);
    let mut starts = [0; COUNT + 1];
    let mut place = 1;
    let mut i = 0u16;
    while (i as usize) < text.len() {
        if text[i as usize] == b' ' {
            starts[place] = i + 1;
            place += 1;
        }
        i += 1;
    }
    assert!(place == COUNT);
    // As if a space followed the last name.
    starts[COUNT] = i + 1;
    starts
}

const fn hashes() -> [u32; COUNT] {
    let mut hashes = [0; COUNT];
    let mut i = 0;
    while i < COUNT {
        hashes[i] = hash(TEXT.as_bytes(), STARTS[i] as usize, STARTS[i + 1] as usize - 1);
        i += 1;
    }
    hashes
}

const fn build() -> [u16; SLOTS] {
    let mut table = [EMPTY; SLOTS];
    let mut place = 0u16;
    while (place as usize) < COUNT {
        let hash = HASHES[place as usize];
        let mut slot = hash as usize % SLOTS;
        while table[slot] != EMPTY {
            assert!(HASHES[table[slot] as usize] != hash, "two names have one hash");
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = place;
        place += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_at_its_place() {
        for (i, name) in TEXT.split(' ').enumerate() {
            let at = u16::try_from(i).unwrap();
            assert_eq!(place(name), Some(at));
            assert_eq!(super::name(at), name);
        }
    }

    #[test]
    fn other_strings_are_not_found() {
        for name in ["", "opena", "openatt", "READ", "read ", "socketcal\u{6c}\u{301}"] {
            assert_eq!(place(name), None);
        }
    }
}
