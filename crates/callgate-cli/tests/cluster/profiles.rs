use std::fs;

use serde_json::json;

use super::{
    Cluster,
    pods::{ATTEMPT, kind, localhost, pod},
};

/// Refuses `mkdir` and allows all else.
const NO_MKDIR: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }]
}
"#;

#[test]
fn each_kind_of_profile_is_what_the_kernel_says() {
    let Some(cluster) = Cluster::open() else { return };
    fs::create_dir_all(cluster.profiles()).unwrap();
    fs::write(cluster.profiles().join("no-mkdir.json"), NO_MKDIR).unwrap();
    cluster.apply(&pod("local", localhost("no-mkdir.json"), ATTEMPT).to_string());
    cluster.apply(&pod("default", kind("RuntimeDefault"), ATTEMPT).to_string());
    cluster.apply(&pod("unconfined", kind("Unconfined"), ATTEMPT).to_string());
    cluster.apply(&pod("none", json!({}), ATTEMPT).to_string());
    cluster.apply(&pod("missing", localhost("missing.json"), ATTEMPT).to_string());
    for name in ["local", "default", "unconfined", "none"] {
        println!("{name}: {}", cluster.output_of(name, "main"));
    }
    println!("{}", cluster.kubectl(&["get", "pods", "-o", "wide"], "").stdout);
    println!("{}", cluster.kubectl(&["describe", "pod", "missing"], "").stdout);
    println!("{}", cluster.kubectl(&["get", "pod", "local", "-o", "yaml"], "").stdout);
}
