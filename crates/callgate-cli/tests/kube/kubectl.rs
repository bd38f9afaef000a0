//! kubectl as the oracle: what it makes of a manifest is what the reader makes of it. Its `label
//! --local` reads and prints without a cluster.

use callgate_kube::yaml::{self, Kind, Value};
use serde_json::{Map, Number, json};

use crate::common::{Scratch, find, skip};

/// The front of a pod, so that kubectl takes the rest.
const FRONT: &str = "apiVersion: v1\nkind: Pod\nmetadata: { name: oracle }\n";

/// What is put behind it; each must be read, and alike.
const READ: &[&str] = &[
    "spec: { a: y, b: Y, c: yes, d: on, e: ON, f: true, g: n, h: no, i: off, j: FALSE, k: oN, l: 'y' }",
    "spec: { y: 1, off: 3, 'yes': 4, ~x: 5, 7: 6 }",
    "spec: [~, null, Null, NULL, nUll, '', \"\", x]",
    "spec: [0, -0, 17, 017, 0x1F, 0o17, 0b11, 1_000, +1, -1, 1__0, 089, 0x, 0b2, _1, 1_]",
    "spec: [1.5, .5, 1., 1e3, 1E-3, -1.5e+3, 09_1.5, 1.2.3, 1e, 1e+, ., .., +, '.5', -.5, +.5]",
    "spec: [12:30, 1:2:3, =, <, '<<', a<<, -a, a-, 'a: b', a:b, 'a #b', a#b]",
    "spec: [18446744073709551615, 9007199254740993, 1.0, 100.0, 1e2]",
    "spec: [!!str 1, !!str yes, !foo 1, !!int '3', !!float '1.5', !!bool 'yes', !!null '', ! 1]",
    "spec: { a: &x { q: 1, r: yes }, b: *x, c: { <<: *x, q: 3 }, d: { q: 3, <<: *x } }",
    "spec: { a: &x { q: 1 }, b: &z { q: 9, w: 1 }, c: { <<: [*x, *z] }, d: { <<: { m: 1 } } }",
    "spec: { a: &x { q: 1 }, b: &z { <<: *x, w: 2 }, c: { w: 5, <<: *z, q: 7 }, '<<': { n: 1 } }",
    "spec:\n  a: |\n    one\n     two\n\n    three\n  b: >\n    one\n    two\n\n    three\n  c: |-\n    x\n  d: >+\n    y\n\n  e: |2\n     z\n",
    "spec:\n- a\n-\n- - b\n  - c\n- d: e\n  f: g\n- ? h\n  : i\n- 'it''s'\n- \"\\x41\\u00e9\\t\\\"\\\n   z\"\n",
    "spec:\n  plain: one\n    two\n\n    three\n  single: 'one\n    two\n\n    three'\n  double: \"one\n    two\\\n    three\"\n",
    "spec:\n  a:\n  - b\n  - c\n  d: [e,\n    f, # g\n    h]\n  i: {j: k,\n    l: [m: n]}\n  o: [[], {}, [[]]]\n",
    "spec: &s [a, &b b, *b]\nstatus: *s\n",
    "spec: { é: \"\\u00e9\\U0001F600\", ü: ñ, 日本: 語 }",
    "spec: { \"a\":1, 'b':2, \"c\": [\"d\",\"e\"] }",
];

/// What both refuse.
const REFUSED: &[&str] = &[
    "spec:\n\ta: b\n",
    "spec: { a: b",
    "spec: *none",
    "spec: &a [*a]",
    "spec: { <<: 3 }",
    "spec: { ~: 3 }",
    "spec: { [a]: 3 }",
    "spec: { ? { a: b } : c }",
    "spec: 'a",
    "spec: a: b",
    "spec: @a",
    "spec: `a`",
    "spec: \"\\q\"",
    "spec:\n  a: b\n c: d\n",
];

/// The value as kubectl prints it.
fn json(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => json!(null),
        Kind::Bool => json!(value.as_bool()),
        Kind::Number => match (value.as_u64(), value.content().replace('_', "")) {
            (Some(number), _) => json!(number),
            (None, text) => {
                let text = text.trim_start_matches('+');
                let whole = text.parse::<i64>().ok().map(|number| json!(number));
                let number: f64 = text.parse().expect("the others are decimal");
                let number = Number::from_f64(number).expect("it is finite");
                whole.unwrap_or(json!(number))
            }
        },
        Kind::String => json!(value.content()),
        Kind::Sequence => value.elements().map(json).collect(),
        Kind::Mapping => {
            let members =
                value.members().map(|(key, value)| (key.as_key().to_owned(), json(value)));
            members.collect::<Map<_, _>>().into()
        }
    }
}

/// As floating-point numbers, which kubectl makes of some whole ones.
fn even(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => json!(number.as_f64()),
        serde_json::Value::Array(list) => list.iter().map(even).collect(),
        serde_json::Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), even(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn kubectl(scratch: &Scratch, manifest: &str) -> crate::common::Outcome {
    scratch.file("m.yaml", manifest);
    let args = ["label", "--local", "-f", "m.yaml", "of=oracle", "-o", "json"];
    scratch.command("kubectl").args(&args).env("HOME", scratch.path()).run()
}

#[test]
fn manifests_are_what_kubectl_makes_of_them() {
    if find("kubectl").is_none() {
        return skip("no kubectl: what manifests are is not compared with what it makes of them");
    }
    let scratch = Scratch::new();
    let mut wrong = String::new();
    for rest in READ {
        let manifest = format!("{FRONT}{rest}\n");
        let outcome = kubectl(&scratch, &manifest);
        let theirs: serde_json::Value = match serde_json::from_str(&outcome.stdout) {
            Ok(theirs) => theirs,
            Err(_) => {
                wrong += &format!("kubectl refuses {rest}\n{}\n", outcome.stderr);
                continue;
            }
        };
        let document = match yaml::documents(&manifest).next().expect("it is one") {
            Ok(document) => document,
            Err(error) => {
                wrong += &format!("{error}: {rest}\n");
                continue;
            }
        };
        for part in ["spec", "status"] {
            let ours = document.root().get(part).map_or(json!(null), json);
            if even(&ours) != even(&theirs[part]) {
                wrong += &format!("{rest}\n  ours   {ours}\n  theirs {}\n", theirs[part]);
            }
        }
    }
    for rest in REFUSED {
        let manifest = format!("{FRONT}{rest}\n");
        let (ours, theirs) =
            (yaml::documents(&manifest).any(|d| d.is_err()), kubectl(&scratch, &manifest));
        if !ours || theirs.status == 0 {
            wrong += &format!("refused by us: {ours}, by kubectl: {} {rest}\n", theirs.status != 0);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
