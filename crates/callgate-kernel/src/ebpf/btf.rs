//! The kernel's own description of its types: numbers of tracepoints, places of fields.
//!
//! The format is "BPF Type Format" of the kernel's documentation. `/sys/kernel/btf/vmlinux` has it
//! where the kernel was built with CONFIG_DEBUG_INFO_BTF, as those of distributions are.

/// What the format begins with.
pub(super) const MAGIC: u16 = 0xeb9f;

/// The types of a kernel.
pub(super) struct Types<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type lies; number 0 is `void` and lies nowhere.
    starts: Vec<u32>,
    /// Structures and typedefs, which are looked for by name: name, kind and number.
    named: Vec<(u32, u32, u32)>,
}

/// A field of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// In bytes, from the start of the outermost structure.
    pub(super) offset: u32,
    kind: u32,
}

/// Of types.
pub(super) mod kind {
    pub(in super::super) const INT: u32 = 1;
    pub(in super::super) const POINTER: u32 = 2;
    pub(in super::super) const ARRAY: u32 = 3;
    pub(in super::super) const STRUCT: u32 = 4;
    pub(in super::super) const UNION: u32 = 5;
    pub(in super::super) const ENUM: u32 = 6;
    pub(in super::super) const TYPEDEF: u32 = 8;
    pub(in super::super) const VOLATILE: u32 = 9;
    pub(in super::super) const CONST: u32 = 10;
    pub(in super::super) const RESTRICT: u32 = 11;
    pub(in super::super) const FUNCTION_TYPE: u32 = 13;
    pub(in super::super) const VARIABLE: u32 = 14;
    pub(in super::super) const SECTION: u32 = 15;
    pub(in super::super) const DECLARATION_TAG: u32 = 17;
    pub(in super::super) const TYPE_TAG: u32 = 18;
    pub(in super::super) const ENUM64: u32 = 19;
}

/// The first twelve bytes of every type.
struct Head {
    name: u32,
    kind: u32,
    /// Members, parameters or values.
    count: u32,
    /// Whether members of a structure carry the width of a bit field.
    flag: bool,
    /// The type that this one is about, or a size.
    about: u32,
}

const HEAD: u32 = 12;
const MEMBER: u32 = 12;

impl<'a> Types<'a> {
    /// Reads the list; `None` where it is not in the format.
    pub(super) fn new(data: &'a [u8]) -> Option<Types<'a>> {
        let magic = data.get(..2)?.try_into().ok().map(u16::from_ne_bytes)?;
        let header = usize::try_from(word(data, 4)?).ok()?;
        let [types_at, types_len, strings_at, strings_len] =
            [8, 12, 16, 20].map(|at| word(data, at));
        let part = |at: Option<u32>, length: Option<u32>| -> Option<&'a [u8]> {
            let from = header.checked_add(usize::try_from(at?).ok()?)?;
            data.get(from..from.checked_add(usize::try_from(length?).ok()?)?)
        };
        if magic != MAGIC {
            return None;
        }
        let mut types = Types {
            types: part(types_at, types_len)?,
            strings: part(strings_at, strings_len)?,
            starts: vec![0],
            named: Vec::new(),
        };
        let end = u32::try_from(types.types.len()).ok()?;
        let mut at = 0;
        while at < end {
            let head = types.head_at(at)?;
            if matches!(head.kind, kind::STRUCT | kind::TYPEDEF) {
                types.named.push((head.name, head.kind, u32::try_from(types.starts.len()).ok()?));
            }
            types.starts.push(at);
            at = at.checked_add(HEAD)?.checked_add(head.rest()?)?;
        }
        Some(types)
    }

    /// The number of a typedef, as tracepoints have one each: `btf_trace_NAME`.
    pub(super) fn typedef(&self, name: &str) -> Option<u32> {
        self.find(name, kind::TYPEDEF)
    }

    /// A field of a structure, by the names on the way: `["mm", "exe_file"]` would lead through a
    /// structure within, not through a pointer. Unnamed structures and unions on the way are
    /// looked into.
    pub(super) fn field(&self, structure: &str, path: &[&str]) -> Option<Field> {
        let number = self.find(structure, kind::STRUCT)?;
        path.iter().try_fold(Field { offset: 0, kind: number }, |field, name| {
            let inner = self.member(field.kind, name, 8)?;
            Some(Field { offset: field.offset.checked_add(inner.offset)?, kind: inner.kind })
        })
    }

    /// Looks into unnamed members as deep as this.
    fn member(&self, structure: u32, name: &str, depth: u32) -> Option<Field> {
        let number = self.bare(structure)?;
        let head = self.head(number)?;
        if !matches!(head.kind, kind::STRUCT | kind::UNION) {
            return None;
        }
        let first = self.start(number)?.checked_add(HEAD)?;
        (0..head.count).find_map(|index| {
            let at = first.checked_add(index.checked_mul(MEMBER)?)?;
            let [named, kind, offset] = [0, 4, 8].map(|part| self.word(at.checked_add(part)?));
            let (named, kind, offset) = (named?, kind?, offset?);
            let bits = if head.flag { offset & 0x00ff_ffff } else { offset };
            let here = Field { offset: bits / 8, kind };
            if named == 0 {
                let inner = self.member(kind, name, depth.checked_sub(1)?)?;
                let offset = here.offset.checked_add(inner.offset)?;
                return Some(Field { offset, kind: inner.kind });
            }
            self.is_named(named, name).then_some(here)
        })
    }

    /// The type behind typedefs and qualifiers.
    fn bare(&self, mut number: u32) -> Option<u32> {
        // The kernel allows no more of them in a row.
        for _ in 0..32 {
            let head = self.head(number)?;
            match head.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    number = head.about;
                }
                _ => return Some(number),
            }
        }
        None
    }

    fn find(&self, name: &str, wanted: u32) -> Option<u32> {
        let mut of_kind = self.named.iter().filter(|(_, kind, _)| *kind == wanted);
        of_kind.find(|(offset, ..)| self.is_named(*offset, name)).map(|(.., number)| *number)
    }

    fn is_named(&self, offset: u32, name: &str) -> bool {
        let text = usize::try_from(offset).ok().and_then(|at| self.strings.get(at..));
        text.and_then(|text| text.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    fn start(&self, number: u32) -> Option<u32> {
        let index = usize::try_from(number).ok().filter(|index| *index > 0)?;
        self.starts.get(index).copied()
    }

    fn head(&self, number: u32) -> Option<Head> {
        self.head_at(self.start(number)?)
    }

    fn head_at(&self, at: u32) -> Option<Head> {
        let info = self.word(at.checked_add(4)?)?;
        Some(Head {
            name: self.word(at)?,
            kind: info >> 24 & 0x1f,
            count: info & 0xffff,
            flag: info >> 31 == 1,
            about: self.word(at.checked_add(8)?)?,
        })
    }

    fn word(&self, at: u32) -> Option<u32> {
        word(self.types, usize::try_from(at).ok()?)
    }
}

impl Head {
    /// How many bytes follow; `None` for a kind that is not known, after which nothing can be read.
    fn rest(&self) -> Option<u32> {
        let each = match self.kind {
            kind::INT | kind::VARIABLE | kind::DECLARATION_TAG => return Some(4),
            kind::ARRAY => return Some(12),
            kind::STRUCT | kind::UNION | kind::SECTION | kind::ENUM64 => MEMBER,
            kind::ENUM | kind::FUNCTION_TYPE => 8,
            1..=kind::ENUM64 => return Some(0),
            _ => return None,
        };
        self.count.checked_mul(each)
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { int a; union { int b; struct { int skipped; int c; }; }; };` and
    /// `typedef struct outer btf_trace_it;`
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0skipped\0c\0btf_trace_it\0";
        let name = |name: &[u8]| {
            let at = strings.windows(name.len()).position(|window| window == name).unwrap();
            u32::try_from(at).unwrap()
        };
        let structure = |members: u32| kind::STRUCT << 24 | members;
        #[rustfmt::skip]
        let types = [
            name(b"int\0"), kind::INT << 24, 4, 32,
            name(b"outer\0"), structure(2), 12, name(b"a\0"), 1, 0, 0, 3, 32,
            0, kind::UNION << 24 | 2, 8, name(b"b\0"), 1, 0, 0, 4, 0,
            0, structure(2), 8, name(b"skipped\0"), 1, 0, name(b"c\0"), 1, 32,
            name(b"btf_trace_it\0"), kind::TYPEDEF << 24, 2,
        ];
        let length = |bytes: usize| u32::try_from(bytes).unwrap().to_ne_bytes();
        let mut data = MAGIC.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        data.extend(length(24));
        data.extend(length(0));
        data.extend(length(types.len() * 4));
        data.extend(length(types.len() * 4));
        data.extend(length(strings.len()));
        data.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
        data.extend(strings);
        data
    }

    #[test]
    fn fields_are_found_through_unnamed_members_and_typedefs() {
        let data = sample();
        let types = Types::new(&data).unwrap();
        let offset = |name: &str| types.field("outer", &[name]).map(|field| field.offset);
        assert_eq!((offset("a"), offset("b"), offset("c")), (Some(0), Some(4), Some(8)));
        assert_eq!(offset("d"), None);
        assert_eq!(types.typedef("btf_trace_it"), Some(5));
        assert_eq!(types.typedef("btf_trace_"), None);
        assert_eq!(types.typedef("outer"), None);
    }

    #[test]
    fn cut_and_changed_files_are_survived() {
        let data = sample();
        for length in 0..data.len() {
            if let Some(types) = Types::new(&data[..length]) {
                types.field("outer", &["c"]);
            }
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = data.clone();
                changed[length] = value;
                if let Some(types) = Types::new(&changed) {
                    types.field("outer", &["c"]);
                }
            }
        }
    }
}
