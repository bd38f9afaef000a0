//! `pid:N` and `tid:N`: the filters that hold a running process or thread.

use callgate_bpf::Program;

/// The filters of one thread, or of a process whose threads all have the same.
pub struct Stack {
    /// As messages name it.
    pub name: String,
    /// Newest first, as the kernel runs them. Empty where no filter holds it.
    pub programs: Vec<Program>,
    /// Whether one of them was loaded with SECCOMP_FILTER_FLAG_LOG.
    pub log: bool,
}

impl Stack {
    /// What to call the filter at `index` of `programs`: they are numbered as they were loaded.
    pub fn filter_name(&self, index: usize) -> String {
        filter_name(index, self.programs.len())
    }
}

/// The name of filter `index`, counted from the newest, of so many.
pub fn filter_name(index: usize, count: usize) -> String {
    let number = count.saturating_sub(index);
    let age = match (number, index) {
        _ if count < 2 => "",
        (1, _) => " (the oldest)",
        (_, 0) => " (the newest)",
        _ => "",
    };
    format!("filter {number} of {count}{age}")
}

/// What `pid:N` or `tid:N` names.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is nothing to read"))]
enum Live {
    Process(i32),
    Thread(i32),
}

/// Reads the source, when the argument is one of a running process.
pub fn open(argument: &str) -> Option<Result<Stack, String>> {
    let (kind, number) = argument.split_once(':')?;
    let live: fn(i32) -> Live = match kind {
        "pid" => Live::Process,
        "tid" => Live::Thread,
        _ => return None,
    };
    Some(match number.parse::<i32>() {
        Ok(number) if number > 0 => read(argument, live(number)),
        _ => Err(format!(
            "{argument}: `{number}` is no process number; a file of this name is ./{argument}"
        )),
    })
}

#[cfg(not(target_os = "linux"))]
fn read(argument: &str, _: Live) -> Result<Stack, String> {
    Err(format!("{argument}: reading the filters of a process needs a Linux kernel"))
}

#[cfg(target_os = "linux")]
fn read(argument: &str, live: Live) -> Result<Stack, String> {
    use callgate_kernel::{filters_of, threads_of};

    let failed = |error: callgate_kernel::DumpError| format!("{argument}: {error}");
    let filters = match live {
        Live::Thread(tid) => filters_of(tid).map_err(failed)?,
        Live::Process(pid) => {
            let mut groups = threads_of(pid).map_err(failed)?;
            if groups.len() > 1 {
                return Err(differing(argument, &groups));
            }
            match groups.pop() {
                Some(group) if group.strict => {
                    return Err(format!(
                        "{argument}: it is in strict mode, in which there is no filter; the built-in source `strict` is the filter of the same four calls"
                    ));
                }
                Some(group) => group.filters,
                None => Vec::new(),
            }
        }
    };
    let log = filters.iter().any(|filter| filter.log == Some(true));
    let programs = filters.into_iter().rev().map(program).collect::<Result<Vec<_>, _>>();
    let programs = programs.map_err(|why| format!("{argument}: {why}"))?;
    if programs.is_empty() {
        crate::report::note(format!("{argument}: no filter holds it, so every call is allowed"));
    }
    Ok(Stack { name: argument.to_owned(), programs, log })
}

/// The program of a filter that the kernel holds.
#[cfg(target_os = "linux")]
pub fn program(filter: callgate_kernel::DumpedFilter) -> Result<Program, String> {
    use callgate_bpf::{ByteOrder, Layout};

    Program::new(filter.instructions, Layout::seccomp(ByteOrder::NATIVE)).map_err(|error| {
        format!("internal error: the kernel holds a filter that it would refuse: {error}")
    })
}

/// Filters belong to threads, and these threads have different ones.
#[cfg(target_os = "linux")]
fn differing(argument: &str, groups: &[callgate_kernel::ThreadGroup]) -> String {
    let mut text = format!(
        "{argument}: filters belong to threads, and its threads are held by different ones; name one of them:"
    );
    for group in groups {
        let what = match group.filters.len() {
            _ if group.strict => "strict mode".to_owned(),
            0 => "no filter".to_owned(),
            count => {
                let lengths: Vec<String> =
                    group.filters.iter().map(|f| f.instructions.len().to_string()).collect();
                format!("{} of {} instructions", super::plural(count, "filter"), lengths.join(", "))
            }
        };
        let tid = group.threads.first().copied().unwrap_or(0);
        text.push_str(&format!("\n  tid:{tid:<10} {what} ({})", threads(&group.threads)));
    }
    text
}

/// `thread 70`, `threads 70, 71 and 9 more`.
#[cfg(target_os = "linux")]
pub fn threads(numbers: &[i32]) -> String {
    const SHOWN: usize = 8;
    let list: Vec<String> = numbers.iter().take(SHOWN).map(ToString::to_string).collect();
    let noun = if numbers.len() == 1 { "thread" } else { "threads" };
    match numbers.len().saturating_sub(SHOWN) {
        0 => format!("{noun} {}", list.join(", ")),
        more => format!("{noun} {} and {more} more", list.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_above_zero_are_processes() {
        assert!(open("file").is_none());
        assert!(open("c:1").is_none());
        for argument in ["pid:", "pid:0", "pid:-1", "pid:x", "tid:99999999999", "pid:1:2"] {
            let error = open(argument).unwrap().err().unwrap();
            assert!(error.contains(&format!("./{argument}")), "{error}");
        }
    }

    #[test]
    fn filters_are_numbered_as_they_were_loaded() {
        assert_eq!(filter_name(0, 1), "filter 1 of 1");
        assert_eq!(filter_name(0, 3), "filter 3 of 3 (the newest)");
        assert_eq!(filter_name(1, 3), "filter 2 of 3");
        assert_eq!(filter_name(2, 3), "filter 1 of 3 (the oldest)");
    }
}
