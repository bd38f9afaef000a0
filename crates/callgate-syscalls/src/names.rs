//! Finds a name's place in the list of all names.

use crate::generated::names::NAMES;

/// Slots of the hash table, a power of two at least twice the number of names.
const SLOTS: usize = 2048;
const _: () = assert!(NAMES.len() * 2 <= SLOTS);

/// No name here.
const EMPTY: u16 = u16::MAX;

/// Open addressing with linear probing; a slot holds a place in [`NAMES`].
static TABLE: [u16; SLOTS] = build();

/// The place of a name in the sorted list of all names.
pub(crate) fn place(name: &str) -> Option<usize> {
    let mut slot = hash(name.as_bytes()) as usize % SLOTS;
    loop {
        match TABLE[slot] {
            EMPTY => return None,
            place if NAMES[usize::from(place)] == name => return Some(usize::from(place)),
            _ => slot = (slot + 1) % SLOTS,
        }
    }
}

/// [`place`] for the compiler: the name must be in the list. Comparing hashes is enough, since
/// [`HASHES`] has no two alike, and spares the compiler most of its work.
pub(crate) const fn place_of_known(name: &str) -> usize {
    let hash = hash(name.as_bytes());
    let mut slot = hash as usize % SLOTS;
    loop {
        assert!(TABLE[slot] != EMPTY, "a table has a name that the list of names lacks");
        let place = TABLE[slot] as usize;
        if HASHES[place] == hash {
            return place;
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

/// FNV-1a, folded: names are short, and a few operations a byte beat a better hash.
const fn hash(name: &[u8]) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    let mut i = 0;
    while i < name.len() {
        hash = (hash ^ name[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash ^ (hash >> 15)
}

/// The hash of every name.
static HASHES: [u32; NAMES.len()] = {
    let mut hashes = [0; NAMES.len()];
    let mut i = 0;
    while i < hashes.len() {
        hashes[i] = hash(NAMES[i].as_bytes());
        i += 1;
    }
    hashes
};

const fn build() -> [u16; SLOTS] {
    let mut table = [EMPTY; SLOTS];
    let mut place = 0u16;
    while (place as usize) < NAMES.len() {
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
        for (i, name) in NAMES.iter().enumerate() {
            assert_eq!(place(name), Some(i));
        }
    }

    #[test]
    fn other_strings_are_not_found() {
        for name in ["", "opena", "openatt", "READ", "read ", "socketcal\u{6c}\u{301}"] {
            assert_eq!(place(name), None);
        }
    }
}
