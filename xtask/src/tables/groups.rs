//! Reads systemd's groups of system calls from what `systemd-analyze syscall-filter` prints.

use std::collections::{BTreeMap, BTreeSet};

use super::Result;

/// A group: its name with `@`, and its members, among them other groups.
pub struct Group {
    /// `@file-system`.
    pub name: String,
    /// In the order of the output.
    pub members: Vec<String>,
}

/// The groups by name. Members that no ABI here has are left out: `names` has all others.
pub fn read(output: &str, names: &BTreeSet<String>) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for line in output.lines() {
        let word = line.trim();
        if word.is_empty() || word.starts_with('#') {
            continue;
        }
        if line.starts_with('@') {
            groups.push(Group { name: word.to_owned(), members: Vec::new() });
        } else {
            let group = groups.last_mut().ok_or("a member before the first group")?;
            if word.starts_with('@') || names.contains(word) {
                group.members.push(word.to_owned());
            }
        }
    }
    if groups.len() < 30 {
        return Err(format!("only {} groups in systemd's output", groups.len()).into());
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

/// For each name a word with bit *n* set when group *n* has it, directly or through another.
pub fn masks(groups: &[Group]) -> Result<BTreeMap<String, u32>> {
    let mut masks = BTreeMap::new();
    for (bit, group) in groups.iter().enumerate() {
        let bit = u32::try_from(bit)?;
        let mut pending = vec![group];
        let mut seen = BTreeSet::new();
        while let Some(group) = pending.pop() {
            if !seen.insert(&group.name) {
                continue;
            }
            for member in &group.members {
                if let Some(inner) = groups.iter().find(|g| g.name == *member) {
                    pending.push(inner);
                } else {
                    *masks.entry(member.clone()).or_default() |=
                        1_u32.checked_shl(bit).ok_or("more than 32 groups")?;
                }
            }
        }
    }
    Ok(masks)
}
