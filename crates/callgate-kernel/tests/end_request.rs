//! A program that is asked to end, by the signals that ask for it.

mod harness;

use std::time::Duration;

use callgate_kernel::{EndRequest, Launch, Outcome};

use self::harness::{Case, in_child};

fn main() {
    let cases: &[Case] = &[
        ("the_first_signal_is_told_and_the_second_ends", second_ends),
        ("a_signal_that_comes_twice_at_once_is_one_request", twice),
        ("waiting_ends_when_a_signal_comes", waiting),
        ("ignored_signals_stay_ignored", ignored),
        ("what_was_not_told_ends_the_program_when_it_is_dropped", dropped),
        ("afterwards_a_command_has_the_signals_of_before", command_after),
    ];
    harness::main(cases);
}

fn send(signal: i32) {
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal) }, 0);
}

/// The signal that ends `child`.
fn ended_by(child: impl FnOnce() -> u8) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    in_child(child).signal()
}

fn second_ends() {
    for (first, second) in [(libc::SIGINT, libc::SIGTERM), (libc::SIGHUP, libc::SIGINT)] {
        let ended = ended_by(|| {
            let mut end = EndRequest::watch().unwrap();
            assert!(!end.has_come());
            send(first);
            assert!(end.has_come() && end.has_come());
            assert!(end.has_come_within(Duration::from_secs(60)));
            send(second);
            0
        });
        assert_eq!(ended, Some(second));
    }
}

fn twice() {
    let status = in_child(|| {
        let mut end = EndRequest::watch().unwrap();
        send(libc::SIGTERM);
        send(libc::SIGINT);
        send(libc::SIGTERM);
        u8::from(!end.has_come())
    });
    assert_eq!(status.code(), Some(0));
}

fn waiting() {
    let mut end = EndRequest::watch().unwrap();
    assert!(!end.has_come_within(Duration::from_millis(10)));
    // SAFETY: plain numbers; the copy does nothing but to send and to leave.
    unsafe {
        let parent = libc::getpid();
        if libc::fork() == 0 {
            libc::usleep(50_000);
            libc::kill(parent, libc::SIGINT);
            libc::_exit(0);
        }
    }
    // Without the signal the harness would end this case.
    assert!(end.has_come_within(Duration::from_secs(600)));
}

fn ignored() {
    // SAFETY: ignoring a signal needs no code of ours.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let mut end = EndRequest::watch().unwrap();
    send(libc::SIGHUP);
    assert!(!end.has_come());
    send(libc::SIGINT);
    assert!(end.has_come());
    send(libc::SIGHUP);
}

fn dropped() {
    let ended = ended_by(|| {
        let end = EndRequest::watch().unwrap();
        send(libc::SIGTERM);
        drop(end);
        0
    });
    assert_eq!(ended, Some(libc::SIGTERM));
}

fn command_after() {
    drop(EndRequest::watch().unwrap());
    let outcome = Launch::new(["sh", "-c", "kill -INT $$; exit 3"]).run().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Signaled { .. }), "{outcome:?}");
}
