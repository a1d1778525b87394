//! A child process that ends with its guard.

use std::fs;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Output;

/// How often an exit is looked for: the system offers no wait with a time limit.
const EXIT_POLL: Duration = Duration::from_millis(5);

/// How long a process that was told to stand still may take: one that waits for a disk stops afterwards.
const STILL_MAX: Duration = Duration::from_secs(30);

/// A child process with its output. Dropping it kills the process (SIGKILL) and waits for its end.
pub struct Process {
    child: Child,
    name: String,
    output: Output,
    /// The first line that [`Process::line`] has not looked at.
    next_line: usize,
}

impl Process {
    /// Starts a command with its output captured and its input open.
    ///
    /// # Panics
    /// When the command cannot be started.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = Output::default();
        if let Some(stdout) = child.stdout.take() {
            output.follow(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            output.follow(stderr);
        }
        Self { child, name, output, next_line: 0 }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Its standard input, once.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for a line that satisfies `wanted`, after the last line that this method has returned.
    ///
    /// # Panics
    /// When no such line comes in time; the text shows the last output.
    pub async fn line(&mut self, within: Duration, wanted: impl Fn(&str) -> bool + Send + 'static) -> String {
        let output = self.output.clone();
        let from = self.next_line;
        let found = tokio::task::spawn_blocking(move || output.find(from, within, wanted))
            .await
            .expect("looking for a line does not panic");
        let Some((line, next)) = found else {
            panic!("{} did not write the expected line in {within:?}; its last output:\n{}", self.name, self.last());
        };
        self.next_line = next;
        line
    }

    /// Sends SIGTERM. Nothing happens when the process has ended.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGSTOP and waits until it has acted: the process stands still until it is continued or killed.
    ///
    /// # Panics
    /// When it does not come to stand still.
    pub fn freeze(&self) {
        if let Some(pid) = self.pid() {
            freeze(pid);
        }
    }

    /// Sends SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill9(&mut self) {
        // Killing fails only when the process has ended, and then waiting returns at once.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Panics
    /// When it has not ended in time; the text shows the last output.
    pub async fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.try_wait() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} did not end in {within:?}; its last output:\n{}",
                self.name,
                self.last()
            );
            tokio::time::sleep(EXIT_POLL).await;
        }
    }

    /// How the process ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is our child")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal);
        }
    }

    /// The child is not reaped before it is waited for, so its id cannot have passed to another process.
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Waits until the process and all that inherited its output have ended; `false` when the time is up.
    pub(crate) fn ended_within(&mut self, within: Duration) -> bool {
        let closed = self.output.closed(within);
        if closed {
            // Nobody is left who could hold the output open, so the wait returns at once.
            let _ = self.child.wait();
        }
        closed
    }

    fn last(&self) -> String {
        self.output.last(40)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Has a process stand still. The signal acts some time after it was sent, on one thread after another.
pub(crate) fn freeze(pid: Pid) {
    let deadline = Instant::now() + STILL_MAX;
    let _ = kill_process(pid, Signal::STOP);
    while !stands_still(pid) {
        assert!(Instant::now() < deadline, "process {} did not come to stand still", pid.as_raw_nonzero());
        std::thread::yield_now();
    }
}

/// Whether every thread of a process is stopped or has ended.
fn stands_still(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok()).all(|stat| {
        // The state is the field after the name, which stands in parentheses.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 't', 'Z', 'X']))
    })
}
