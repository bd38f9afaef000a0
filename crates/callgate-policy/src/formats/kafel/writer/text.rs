//! The layout of a policy.

use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};

use callgate_bpf::Action;

use super::{Block, Rule, action_text, fit::Scope, names};

/// The width that a line may have.
const WIDTH: usize = 100;

/// The whole text. Older releases of Kafel know statements in policies alone, so everything is in
/// one.
pub(super) fn policy(blocks: &[Block], scope: &Scope, default: Action) -> String {
    let mut text = String::new();
    if scope.listed && scope.targets.len() > 1 {
        let words: Vec<&str> = scope.targets.iter().filter_map(|abi| names::guard(*abi)).collect();
        text.push_str(&format!("// To be compiled for {}.\n", words.join(", ")));
    }
    text.push_str("POLICY main {");
    for (place, block) in blocks.iter().enumerate() {
        text.push_str(if place == 0 { "\n" } else { ",\n" });
        text.push_str(&format!("  {} {{\n", action(block.action)));
        rules(&mut text, &block.rules);
        text.push_str("\n  }");
    }
    text.push_str(if blocks.is_empty() { "}\n" } else { "\n}\n" });
    text.push_str(&format!("USE main DEFAULT {}\n", action(default)));
    text
}

fn action(action: Action) -> String {
    action_text(action).unwrap_or_default()
}

/// Names that stand alone share lines; what says more has a line of its own.
fn rules(text: &mut String, rules: &[Rule]) {
    const INDENT: &str = "    ";
    let mut width = 0;
    let mut alone = false;
    for (place, rule) in rules.iter().enumerate() {
        let written = rule.to_string();
        let plain = rule.guard.is_none() && rule.conditions.is_empty() && rule.remark.is_none();
        let fits = width + written.len() + ", ".len() < WIDTH;
        if place == 0 {
            text.push_str(INDENT);
            width = INDENT.len();
        } else if plain && !alone && fits {
            text.push_str(", ");
            width += ", ".len();
        } else {
            text.push_str(",\n");
            text.push_str(INDENT);
            width = INDENT.len();
        }
        text.push_str(&written);
        width += written.len();
        alone = !plain;
    }
}

/// `read`, `write(a0) ON x86_64 { a0 == 1 }`.
impl core::fmt::Display for Rule {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.call)?;
        if let Some(name) = self.remark {
            write!(f, " /* {name} */")?;
        }
        f.write_str(&self.arguments)?;
        match self.guard.as_deref() {
            None => {}
            Some([one]) => write!(f, " ON {one}")?,
            Some(several) => write!(f, " ON {{ {} }}", several.join(", "))?,
        }
        let length: usize = self.conditions.iter().map(|condition| condition.len() + 2).sum();
        match self.conditions.len() {
            0 => Ok(()),
            1 => write!(f, " {{ {} }}", self.conditions[0]),
            _ if length < WIDTH / 2 => write!(f, " {{ {} }}", self.conditions.join(", ")),
            _ => write!(f, " {{\n      {}\n    }}", self.conditions.join(",\n      ")),
        }
    }
}
