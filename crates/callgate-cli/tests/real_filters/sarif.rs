//! What SARIF 2.1.0 asks of a log (OASIS, sections 3.13, 3.14, 3.27 and 3.49), and that it says
//! what the findings say.

use serde_json::Value;

pub fn check(text: &str, findings: &[Value]) {
    let log: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().is_some_and(|name| name.contains("sarif")), "{log:#}");
    let [run] = &log["runs"].as_array().unwrap()[..] else { panic!("one run: {log:#}") };
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "callgate");
    let rules = driver["rules"].as_array().unwrap();
    for (index, rule) in rules.iter().enumerate() {
        let id = rule["id"].as_str().unwrap();
        assert!(rules[..index].iter().all(|other| other["id"] != id), "{id} twice");
        is_message(&rule["shortDescription"]);
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings.len());
    for (result, finding) in results.iter().zip(findings) {
        assert_eq!(result["ruleId"], finding["id"]);
        assert_eq!(result["level"], finding["severity"]);
        is_message(&result["message"]);
        if let Some(index) = result.get("ruleIndex") {
            let index = usize::try_from(index.as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
        }
        for location in result["locations"].as_array().into_iter().flatten() {
            let physical = location.get("physicalLocation");
            let logical = location.get("logicalLocations");
            assert!(physical.or(logical).is_some(), "{result:#}");
            if let Some(uri) = physical.and_then(|place| place["artifactLocation"]["uri"].as_str())
            {
                assert!(is_reference(uri), "{uri}");
            }
        }
    }
}

fn is_message(message: &Value) {
    assert!(message["text"].as_str().is_some_and(|text| !text.is_empty()), "{message}");
}

/// A URI reference of RFC 3986: no character that must be encoded, and no scheme by accident, as
/// `pid` would be in `pid:1`.
fn is_reference(uri: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let scheme = uri.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
    !uri.is_empty() && uri.chars().all(allowed) && (!scheme || uri.starts_with("file:"))
}
