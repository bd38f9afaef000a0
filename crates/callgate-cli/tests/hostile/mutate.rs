//! Texts that are a few changes away from good ones, and texts that are anything.

use callgate_bpf::generate::Rng;

/// A text near one of these, or of their pieces alone.
pub fn text(rng: &mut Rng, seeds: &[&str]) -> String {
    let mut text: Vec<char> = match rng.below(8) {
        0 => Vec::new(),
        _ => rng.pick(seeds).chars().collect(),
    };
    for _ in 0..rng.below(4) {
        let start = rng.below(text.len() + 1);
        let end = text.len().min(start + rng.below(12));
        let piece: Vec<char> = match rng.below(4) {
            0 => Vec::new(),
            1 => text[start..end].repeat(1 + rng.below(4)),
            2 => vec![anything(rng)],
            // Part of another text, or of the same.
            _ => {
                let other: Vec<char> = rng.pick(seeds).chars().collect();
                let from = rng.below(other.len());
                other[from..other.len().min(from + 1 + rng.below(24))].to_vec()
            }
        };
        text.splice(start..end, piece);
    }
    text.into_iter().collect()
}

/// A character: mostly what a language may be made of.
fn anything(rng: &mut Rng) -> char {
    match rng.below(6) {
        0 => rng.pick(&['\0', '\r', '\n', '\u{feff}', '\u{1b}', 'é', '\u{202e}', '\u{10ffff}']),
        1 => char::from_u32(rng.next_u32() >> 11).unwrap_or('x'),
        _ => char::from_u32(0x20 + rng.next_u32() % 0x5f).unwrap_or('x'),
    }
}
