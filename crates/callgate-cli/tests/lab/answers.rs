//! What became of the calls.

use std::fmt;

use super::calls::Call;

/// What became of one call, in the probe's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(String);

impl Answer {
    pub fn is(&self, words: &str) -> bool {
        self.0 == words
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The answers to some calls, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers(pub Vec<Answer>);

impl Answers {
    /// Reads what the probe wrote.
    ///
    /// # Errors
    ///
    /// A sentence, when the calls are not all answered in their order.
    pub fn read(calls: &[Call], output: &str) -> Result<Answers, String> {
        let lines: Vec<&str> = output.lines().map(str::trim_end).collect();
        if lines.len() != calls.len() {
            return Err(format!("the probe answered {} of {} calls", lines.len(), calls.len()));
        }
        let mut answers = Vec::with_capacity(calls.len());
        for (call, line) in calls.iter().zip(lines) {
            let (question, answer) =
                line.split_once(" -> ").ok_or_else(|| format!("not an answer: {line}"))?;
            if question != call.to_string() {
                return Err(format!("asked `{call}`, answered `{question}`"));
            }
            answers.push(Answer(answer.to_owned()));
        }
        Ok(Answers(answers))
    }
}

/// Whether the commands of one container came to be, and what they answered.
pub type Outcome = Result<Answers, Refusal>;

/// A container that did not start.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: i32,
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did not start (status {}): {}", self.status, self.message.trim())
    }
}
