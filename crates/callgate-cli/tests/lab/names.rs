//! The system calls that the runtimes' own table knows: libseccomp's, asked, not remembered.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use super::{calls::Abi, command, probe};

pub struct Names {
    /// libseccomp's version.
    pub version: String,
    by_number: BTreeMap<(Abi, u32), String>,
    by_name: BTreeMap<(Abi, String), u32>,
}

impl Names {
    pub fn read(dir: &Path) -> Names {
        let program = dir.join("names");
        probe::compile("names.c", &program, &[], &["-lseccomp"]);
        let listing = command::run(&mut Command::new(program), "").expect("names");
        let mut names =
            Names { version: String::new(), by_number: BTreeMap::new(), by_name: BTreeMap::new() };
        for line in listing.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["version", version] => names.version = version.to_owned(),
                [abi, number, name] => {
                    let abi = Abi::from_name(abi).expect("names.c prints our ABIs");
                    let number = number.parse().expect("names.c prints numbers");
                    names.by_number.insert((abi, number), name.to_owned());
                    names.by_name.insert((abi, name.to_owned()), number);
                }
                _ => panic!("unexpected line of names.c: {line}"),
            }
        }
        names
    }

    pub fn name(&self, abi: Abi, number: u32) -> Option<&str> {
        self.by_number.get(&(abi, number)).map(String::as_str)
    }

    pub fn number(&self, abi: Abi, name: &str) -> Option<u32> {
        self.by_name.get(&(abi, name.to_owned())).copied()
    }

    /// The largest number that any of `names` has.
    pub fn largest(&self, abi: Abi, names: &BTreeSet<String>) -> Option<u32> {
        names.iter().filter_map(|name| self.number(abi, name)).max()
    }
}
