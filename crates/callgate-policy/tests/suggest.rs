//! Near misses are found, and words that are not near are left alone.

use callgate_policy::suggest::{closest, syscall};

const ACTIONS: [&str; 4] =
    ["SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG"];

#[test]
fn a_slip_of_the_hand_is_recognised() {
    for (word, meant) in [
        ("SCMP_ACT_ERNO", "SCMP_ACT_ERRNO"),
        ("SCMP_ACT_ERRRNO", "SCMP_ACT_ERRNO"),
        ("SCMP_ACT_ALOLW", "SCMP_ACT_ALLOW"),
        ("SCMP_ACT_ALLOV", "SCMP_ACT_ALLOW"),
        ("SCMP_ATC_LOG", "SCMP_ACT_LOG"),
        ("scmp_act_errno", "SCMP_ACT_ERRNO"),
        ("SCMP_ACT_KILLPROCESS", "SCMP_ACT_KILL_PROCESS"),
    ] {
        assert_eq!(closest(word, ACTIONS), Some(meant), "{word}");
    }
}

#[test]
fn a_missing_front_is_recognised() {
    assert_eq!(closest("ALLOW", ACTIONS), Some("SCMP_ACT_ALLOW"));
    assert_eq!(closest("act_log", ACTIONS), Some("SCMP_ACT_LOG"));
    // The shortest that ends so.
    assert_eq!(closest("EQ", ["SCMP_CMP_MASKED_EQ", "SCMP_CMP_EQ"]), Some("SCMP_CMP_EQ"));
}

#[test]
fn another_word_is_no_slip() {
    for word in ["", "x", "SCMP_ACT_", "SCMP_ACT_FOO", "SCMP_ACT_DENY", "nothing of the kind"] {
        assert_eq!(closest(word, ACTIONS), None, "{word}");
    }
    assert_eq!(closest(&"SCMP_ACT_ALLOW".repeat(100_000), ACTIONS), None);
    assert_eq!(closest("\u{1f600}\u{1f600}\u{1f600}", ACTIONS), None);
}

#[test]
fn the_nearest_of_several_wins_and_the_first_of_equals() {
    assert_eq!(closest("abcdefx", ["abxyefx", "abcdefy"]), Some("abcdefy"));
    assert_eq!(closest("cat", ["car", "cap"]), Some("car"));
}

#[test]
fn system_calls_are_found() {
    for (word, meant) in [
        ("mkidr", "mkdir"),
        ("opnat", "openat"),
        ("exeve", "execve"),
        ("MKDIR", "mkdir"),
        ("clock_getime", "clock_gettime"),
        ("io_uring_entr", "io_uring_enter"),
    ] {
        assert_eq!(syscall(word), Some(meant), "{word}");
    }
    assert_eq!(syscall("frobnicate"), None);
}
