use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::CALLGATE;

/// A process under a filter, until this is dropped.
pub struct Filtered {
    callgate: Child,
    pid: String,
}

impl Filtered {
    /// A sleeping process under docker-default, with these options of `callgate run`.
    pub fn start(options: &[&str]) -> Filtered {
        let mut callgate = Command::new(CALLGATE)
            .arg("run")
            .args(options)
            .args(["--", "sh", "-c", "echo $$; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("callgate starts");
        let mut pid = String::new();
        let output = callgate.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut pid).expect("it is text");
        Filtered { callgate, pid: pid.trim().to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> &str {
        &self.pid
    }
}

impl Drop for Filtered {
    fn drop(&mut self) {
        // `callgate` passes the signal on; killed by SIGKILL it would leave the process behind.
        let kill = format!("kill -TERM {}", self.callgate.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let _ = self.callgate.wait();
    }
}
