//! The filter's verdicts, carried out by the supervisor that is asked in its stead.

use callgate_bpf::Action;
use callgate_kernel::{Answer, Ended, Errno, Launch, LaunchError, Notification, Outcome, Signal};

use crate::{
    commands::run::filter::Ready,
    names::syscall_name,
    refusals::{Noticed, Refusals},
};

/// How the command ended.
pub struct End {
    /// The status to exit with.
    pub status: u8,
    /// Whether processes of it were let go.
    pub left: bool,
}

const KILLED: &str =
    "by SIGKILL: it handles, ignores or blocks SIGSYS, which the kernel's own kill overrides";
const THREAD: &str =
    "the kernel would have ended the calling thread alone, which could not be done here";
const TRAPPED: &str = "its handler for SIGSYS was called as for a signal from a process; the kernel's own says which call it was";

pub fn run(launch: Launch, ready: &Ready, refusals: &mut Refusals) -> Result<End, LaunchError> {
    let mut forced = Vec::new();
    let finished =
        launch.run_notified(|notification| match refusals.notice(ready, notification) {
            Noticed::Allowed => Answer::Continue,
            Noticed::Refused(action, row) => {
                let (answer, note) = carry_out(action, notification, &mut forced);
                if let (Some(row), Some(note)) = (row, note) {
                    row.approximation = Some(note);
                }
                answer
            }
        })?;
    let status = match finished.outcome {
        // To whoever waits for callgate it ended as the filter has it.
        Outcome::Signaled { signal: Signal::KILL, .. } if forced.contains(&finished.pid) => {
            Outcome::Signaled { signal: Signal::SYS, core: false }.status()
        }
        outcome => outcome.status(),
    };
    Ok(End { status, left: finished.left })
}

/// Does what the kernel would do, and says what the call returns; and what is not quite so.
fn carry_out(
    action: Action,
    notification: &Notification<'_>,
    forced: &mut Vec<i32>,
) -> (Answer, Option<&'static str>) {
    /// The kernel's MAX_ERRNO, to which it cuts a filter's number.
    const MAX_ERRNO: u16 = 4095;
    let nobody = Answer::Errno(Errno::ENOSYS);
    match action {
        Action::Errno(number) => (Answer::Errno(Errno(i32::from(number.min(MAX_ERRNO)))), None),
        // Under `run` nobody listens and nobody traces.
        Action::UserNotif | Action::Trace(_) => (nobody, None),
        Action::Trap(data) if notification.handles_sigsys() == Ok(true) => {
            match notification.trap(data) {
                Ok(true) => (nobody, None),
                Ok(false) => (nobody, Some(TRAPPED)),
                // The call returns, and the handler runs first.
                Err(_) => (nobody, notification.send_sigsys().is_ok().then_some(TRAPPED)),
            }
        }
        // Made to exit by a filter that refuses that, it would come back here.
        Action::KillThread
            if notification.thread_count().is_ok_and(|threads| threads > 1)
                && syscall_name(notification.data().arch, notification.data().nr)
                    != Some("exit")
                && notification.end_thread().is_ok() =>
        {
            (nobody, None)
        }
        _ => {
            let threads = notification.thread_count().unwrap_or(1);
            let process = notification.caller().map(|caller| caller.pid());
            let ended = notification.end_process();
            if ended == Ok(Ended::Kill) {
                forced.extend(process);
            }
            let note = match (action, ended) {
                (Action::KillThread, Ok(_)) if threads > 1 => Some(THREAD),
                (_, Ok(Ended::Kill)) => Some(KILLED),
                _ => None,
            };
            (nobody, note)
        }
    }
}
