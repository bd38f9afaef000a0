//! What a package ships beside the binary: completions, man pages, schemas.

use std::fs;

use serde_json::Value;

use super::help::{commands, verbs};
use crate::common::{Filtered, Scratch, find, is_root};

#[test]
fn completions_know_every_verb() {
    let scratch = Scratch::new();
    let verbs = verbs(&scratch);
    for shell in ["bash", "zsh", "fish"] {
        let outcome = scratch.callgate(&["generate", "completions", shell]).run();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{shell}");
        for verb in verbs.iter().filter(|verb| *verb != "generate") {
            assert!(outcome.stdout.contains(verb.as_str()), "{verb} for {shell}");
        }
        assert!(outcome.stdout.contains("cap-drop"), "{shell}");
        scratch.file("completions", &outcome.stdout);
        // Each shell that is here reads its own.
        if find(shell).is_some() {
            scratch.command(shell).args(&["-n", "completions"]).run().is(0, "", "");
        }
    }
    scratch.callgate(&["generate", "completions", "cmd"]).run().is_like(2, "", "error: …'cmd'…");
}

#[test]
fn bash_completes_a_verb() {
    let scratch = Scratch::new();
    let outcome = scratch.callgate(&["generate", "completions", "bash"]).run();
    scratch.file("completions", &outcome.stdout);
    let script = ". ./completions; COMP_WORDS=(callgate comp); COMP_CWORD=1; \
                  _callgate callgate comp callgate; echo \"${COMPREPLY[@]}\"";
    if find("bash").is_some() {
        scratch.command("bash").args(&["-c", script]).run().is(0, "compile\n", "");
    }
}

#[test]
fn there_is_a_man_page_for_the_command_and_for_each_verb() {
    let scratch = Scratch::new();
    scratch.callgate(&["generate", "man", "man/man1"]).run().is(0, "", "");
    let mut names: Vec<String> = fs::read_dir(scratch.join("man/man1"))
        .expect("it was made")
        .map(|entry| entry.expect("it is readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut expected: Vec<String> = verbs(&scratch)
        .iter()
        .filter(|verb| *verb != "generate")
        .map(|verb| format!("callgate-{verb}.1"))
        .chain(["callgate.1".to_owned()])
        .collect();
    expected.sort();
    assert_eq!(names, expected);
    for name in &names {
        let page = scratch.read(&format!("man/man1/{name}"));
        let page = String::from_utf8(page).expect("a page is text");
        let title = name.trim_end_matches(".1");
        assert!(page.contains(&format!(".TH {title} 1")), "{name}");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            assert!(page.contains(section), "{section} in {name}");
        }
        assert!(page.contains("Example"), "{name}");
    }
    // Made again it is the same.
    let before = scratch.read("man/man1/callgate-run.1");
    scratch.callgate(&["generate", "man", "man/man1"]).run().is(0, "", "");
    assert_eq!(scratch.read("man/man1/callgate-run.1"), before);
}

#[test]
fn the_schema_of_profiles_is_one() {
    let scratch = Scratch::new();
    let schema = scratch.callgate(&["generate", "schema"]).run().json(0);
    assert!(schema["$schema"].as_str().is_some_and(|draft| draft.contains("json-schema.org")));
    for key in ["defaultAction", "architectures", "archMap", "syscalls", "flags"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
    scratch.callgate(&["generate", "schema", "run"]).run().is(
        2,
        "",
        "error: `run` has no --json\n",
    );
}

/// What a schema has against a value, as the generated ones are written: types, properties, lists,
/// references, alternatives, and nothing that is not named.
fn against(schema: &Value, root: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let mut add = |what: String| found.push(format!("{at}: {what}"));
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#'));
        let target = target.unwrap_or_else(|| panic!("{reference} is there"));
        return against(target, root, value, at, found);
    }
    for word in ["anyOf", "oneOf"] {
        if let Some(list) = schema[word].as_array() {
            let fits = |schema: &&Value| {
                let mut found = Vec::new();
                against(schema, root, value, at, &mut found);
                found.is_empty()
            };
            if !list.iter().any(|schema| fits(&schema)) {
                add(format!("{value} fits no alternative"));
            }
        }
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        add(format!("{value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|list| !list.contains(value)) {
        add(format!("{value} is not in the list"));
    }
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("type {name}"),
    };
    let fits = match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    if !fits {
        add(format!("{value} is not a {}", schema["type"]));
    }
    if let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(name.as_str().expect("a name")) {
                found.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in object {
            match properties.get(name) {
                Some(schema) => against(schema, root, value, &format!("{at}.{name}"), found),
                None => found.push(format!("{at}: {name} is not in the schema")),
            }
        }
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        against(&schema["items"], root, value, &format!("{at}[{index}]"), found);
    }
}

#[test]
fn what_json_prints_is_as_its_schema_says() {
    let scratch = Scratch::new();
    scratch.file("p.json", r#"{ "defaultAction": "SCMP_ACT_ERNO", "colour": 1 }"#);
    scratch.file("wide.json", r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] }"#);
    scratch.file("web.yaml", "kind: Pod\nspec: { containers: [{ name: web }] }\n");
    let mut checked = vec!["dump".to_owned()];
    let filtered = Filtered::start(&[]);
    // Reading filters takes root.
    let dump: &[(&[&str], i32)] =
        if is_root() { &[(&["dump", "--pid", filtered.pid()], 0)] } else { &[] };
    let asked: &[(&[&str], i32)] = &[
        (&["caps"], 0),
        (&["check", "p.json"], 1),
        (&["check", "docker-default", "--for", "docker"], 0),
        (&["compile", "docker-default", "-o", "out"], 0),
        (&["diff", "docker-default", "wide.json"], 1),
        (&["doctor"], 0),
        (&["eval", "docker-default", "--", "unshare", "CLONE_NEWUSER"], 1),
        (&["explain", "docker-default"], 0),
        (&["explain", "docker-default", "--syscall", "clone"], 0),
        (&["kube", "check", "web.yaml"], 1),
        (&["lint", "docker-default"], 1),
        (&["syscall", "clone"], 0),
        (&["syscall", "clone3", "--arch", "x86_64"], 0),
        (&["why", "--", "sh", "-c", "unshare -U true 2>/dev/null; exit 1"], 1),
        (&["why", "--", "true"], 0),
    ];
    for &(args, status) in asked.iter().chain(dump) {
        let (verb, rest) = args.split_at(if args[0] == "kube" { 2 } else { 1 });
        let value = scratch.callgate(&[verb, &["--json"], rest].concat()).run().json(status);
        let schema = scratch.callgate(&["generate", "schema", &verb.join("-")]).run().json(0);
        let mut found = Vec::new();
        against(&schema, &schema, &value, "$", &mut found);
        assert!(found.is_empty(), "{args:?}:\n{}", found.join("\n"));
        checked.push(verb.join(" "));
    }
    // Every verb that has --json has been asked.
    for verb in commands(&scratch) {
        let words: Vec<&str> = verb.split(' ').collect();
        let help = scratch.callgate(&words).arg("--help").run().stdout;
        let has = help.lines().any(|line| line.trim_start().starts_with("--json"));
        assert!(!has || checked.contains(&verb), "{verb}");
    }
}
