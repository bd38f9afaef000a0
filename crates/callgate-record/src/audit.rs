//! Seccomp records of the audit system: `audit.log`, `dmesg`, `journalctl`.

use callgate_bpf::Action;
use callgate_kernel::SeccompRecord;

use crate::{Arguments, End, Observation, Recorder};

/// Reads the seccomp records (type 1326) among the lines of a log into a run; other lines are
/// passed over. Such a record has no arguments. What was logged ran; everything else was refused.
///
/// # Errors
///
/// When no line holds such a record.
pub fn read(text: &[u8], recorder: &mut Recorder) -> Result<(), String> {
    let text = String::from_utf8_lossy(text);
    let mut start = None;
    let mut now = None;
    let mut records = 0u64;
    for line in text.lines() {
        let Some(begin) = line.find("type=1326 ").or_else(|| line.find("type=SECCOMP ")) else {
            // The kernel's rate limit leaves a line of its own.
            if line.contains("audit: rate limit exceeded") || line.contains("callbacks suppressed")
            {
                recorder.lose("records that the kernel left out of its log", 1);
            }
            continue;
        };
        let line = &line[begin..];
        let Some(record) = SeccompRecord::parse(line) else {
            recorder.lose("records that cannot be read", 1);
            continue;
        };
        records += 1;
        let at = time(line).map(|ms| ms.saturating_sub(*start.get_or_insert(ms)));
        now = now.max(at);
        let executable = record.exe.as_deref().unwrap_or_default();
        recorder.observe(&Observation {
            architecture: record.arch,
            number: record.syscall,
            executable,
            arguments: Arguments::Unknown,
            count: 1,
            errno: None,
            refused: record.code.action() != Action::Log,
            at,
        });
    }
    if records == 0 {
        return Err("no line of it is a seccomp record (type=1326) of the audit system".to_owned());
    }
    recorder.end(End { after: now, status: None });
    Ok(())
}

/// Milliseconds of `audit(1764000000.123:45):`.
fn time(line: &str) -> Option<u64> {
    let (_, behind) = line.split_once("audit(")?;
    let (seconds, behind) = behind.split_once('.')?;
    let (milliseconds, _) = behind.split_once(':')?;
    seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(milliseconds.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use callgate_syscalls::Abi;

    use super::*;
    use crate::{Recording, RunId, RunInfo};

    const FIELDS: &str =
        "auid=4294967295 uid=1000 gid=1000 ses=4294967295 subj=unconfined pid=4711";

    fn read_all(text: &str) -> Result<Recording, String> {
        let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
        read(text.as_bytes(), &mut recorder)?;
        let (id, run) = recorder.finish();
        Ok(Recording::of_run(id, run))
    }

    #[test]
    fn every_form_of_a_log_is_read() {
        let text = format!(
            "\
type=SECCOMP msg=audit(1764000000.123:45): {FIELDS} comm=\"mkdir\" exe=\"/usr/bin/mkdir\" sig=0 arch=c000003e syscall=83 compat=0 ip=0x7f00 code=0x7ffc0000 AUID=\"unset\" ARCH=x86_64 SYSCALL=mkdir
[  123.456789] audit: type=1326 audit(1764000001.123:46): {FIELDS} comm=\"a\" exe=2F62696E2F612062 sig=31 arch=40000003 syscall=39 compat=1 ip=0xf700 code=0x80000000
Nov 24 10:00:00 host kernel: audit: type=1326 audit(1764000002.123:47): {FIELDS} comm=\"a\" exe=\"/bin/a\" sig=0 arch=c000003e syscall=83 compat=0 ip=0x7f00 code=0x50000
type=SYSCALL msg=audit(1764000000.123:45): arch=c000003e syscall=83
audit: type=1326 audit(17
"
        );
        let recording = read_all(&text).unwrap();
        let facts: Vec<_> = recording
            .facts()
            .map(|(_, key, fact)| {
                let abi = key.call.abi;
                (key.executable.as_str(), abi, fact.count, fact.refused, fact.seen)
            })
            .collect();
        assert_eq!(
            facts,
            [
                ("/bin/a", Abi::X86_64, 1, 1, Some((2000, 2000))),
                ("/usr/bin/mkdir", Abi::X86_64, 1, 0, Some((0, 0))),
                ("/bin/a b", Abi::X86, 1, 1, Some((1000, 1000))),
            ]
        );
        assert_eq!(recording.runs[&RunId::new(1)].losses.values().sum::<u64>(), 1);
        assert!(read_all("nothing here\n").is_err());
    }
}
