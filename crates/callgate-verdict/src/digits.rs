//! The variables of a diagram: the bytes of a context, in one fixed order.

use alloc::vec::Vec;

use callgate_bpf::{ByteOrder, Layout};

/// The place of a byte in the order of variables; smaller is nearer the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digit(pub(crate) u8);

impl Digit {
    /// Where terminals stand: behind every byte.
    pub(crate) const TERMINAL: Digit = Digit(u8::MAX);
}

/// How the words of a context layout map to digits.
///
/// The order is: architecture, number, then the other fields as they lie, each from its most
/// significant byte down. It depends on the fields alone and not on the byte order, so two
/// spellings of one function have one diagram whatever machine they are for.
#[derive(Clone, Debug)]
pub(crate) struct Digits {
    layout: Layout,
    /// For the word at offset 4·i: its most significant digit; the other three follow.
    words: Vec<Digit>,
    /// For each digit: the index of its field and how many bits lie below it in the field.
    places: Vec<(usize, u32)>,
}

impl Digits {
    /// # Panics
    ///
    /// When the layout has more than 254 bytes.
    pub(crate) fn new(layout: Layout) -> Digits {
        let rank = |name: &str| match name {
            "arch" => 0,
            "nr" => 1,
            // Few filters look at it; it must not stand between the number and the arguments.
            "instruction_pointer" => 3,
            _ => 2,
        };
        let mut order: Vec<usize> = (0..layout.fields.len()).collect();
        order.sort_by_key(|&index| (rank(layout.fields[index].name), index));
        let mut places = Vec::new();
        let mut first = Vec::new();
        for &index in &order {
            first.push((index, places.len()));
            places.extend((0..layout.fields[index].size).rev().map(|byte| (index, 8 * byte)));
        }
        assert!(places.len() < usize::from(u8::MAX), "a context has fewer than 255 bytes");
        let digit = |place: usize| Digit(u8::try_from(place).expect("fewer than 255 places"));
        let word = |offset: u32| {
            let (field, high) = layout.field_at(offset).expect("fields have no gaps");
            let (_, start) = first
                .iter()
                .find(|(index, _)| layout.fields[*index].offset == field.offset)
                .expect("every field is in the order");
            digit(start + if field.size == 8 && !high { 4 } else { 0 })
        };
        let words = (0..layout.size / 4).map(|i| word(4 * i)).collect();
        Digits { layout, words, places }
    }

    /// Offsets are those of a context of this byte order from now on.
    pub(crate) fn set_byte_order(&mut self, byte_order: ByteOrder) {
        if self.layout.byte_order != byte_order {
            *self = Digits::new(Layout { byte_order, ..self.layout });
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The four digits of the word at a byte offset, most significant first.
    pub(crate) fn of_word(&self, offset: u32) -> [Digit; 4] {
        let index = usize::try_from(offset / 4).expect("offsets are small");
        let Digit(first) = self.words[index];
        [Digit(first), Digit(first + 1), Digit(first + 2), Digit(first + 3)]
    }

    /// Whether the word at a byte offset is one of the two that come first: of a system call, the
    /// architecture and the number.
    pub(crate) fn selects(&self, offset: u32) -> bool {
        let [.., last] = self.of_word(offset);
        self.is_selector(last)
    }

    /// Whether a digit is of one of those two.
    pub(crate) fn is_selector(&self, digit: Digit) -> bool {
        digit.0 < 8
    }

    /// The digits of a field, most significant first.
    pub(crate) fn of_field(&self, index: usize) -> impl Iterator<Item = Digit> + '_ {
        let places = self.places.iter().enumerate().filter(move |(_, place)| place.0 == index);
        places.map(|(digit, _)| Digit(u8::try_from(digit).expect("fewer than 255 digits")))
    }

    /// The index of a digit's field, and how many bits of the field lie below the digit.
    pub(crate) fn place(&self, digit: Digit) -> (usize, u32) {
        self.places[usize::from(digit.0)]
    }
}
