//! Records of the audit system. Whoever is refused chooses its thread's name and its file's.

use callgate_kernel::SeccompRecord;

/// Whether it is a record; as names in one, it comes back.
pub fn check(text: &str) -> bool {
    let parsed = SeccompRecord::parse(text);
    let (comm, exe) = text.split_once('\n').unwrap_or((text, "/usr/bin/x"));
    let written = format!(
        "audit(1764000000.123:45): auid=4294967295 uid=1000 gid=1000 ses=4294967295 pid=4711 \
         comm={} exe={} sig=31 arch=c000003e syscall=83 compat=0 ip=0x7f00 code=0x80000000",
        untrusted(comm),
        untrusted(exe)
    );
    let record = SeccompRecord::parse(&written).unwrap_or_else(|| panic!("{written}"));
    assert_eq!((record.pid, record.syscall.0, record.code.0), (4711, 83, 0x8000_0000));
    assert_eq!((record.comm.as_str(), record.exe.as_deref()), (comm, Some(exe)), "{written}");
    parsed.is_some()
}

/// A string as the kernel writes it (`audit_log_n_untrustedstring` of `kernel/audit.c`).
fn untrusted(text: &str) -> String {
    if text.bytes().any(|byte| byte == b'"' || !(0x21..=0x7e).contains(&byte)) {
        return text.bytes().map(|byte| format!("{byte:02X}")).collect();
    }
    format!("\"{text}\"")
}
