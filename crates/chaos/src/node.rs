//! One node: the real binary, started, killed, paused and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a node that was asked to end may take before it is killed.
const SHUTDOWN: Duration = Duration::from_secs(40);

/// What stands for a start's own name in the environment of a node: see [`Node::new`].
pub(crate) const BOOT: &str = "BOOT-OF-THE-NODE";

/// How a node stands, as far as we made it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    Down,
    Paused,
}

/// One node across its restarts.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) port: u16,
    binary: PathBuf,
    directory: PathBuf,
    environment: Vec<(String, String)>,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    process: Option<Child>,
    /// How often it ended by itself and was started again.
    ended: u64,
    /// How often it was started.
    boots: u64,
}

impl Node {
    /// A node that was not started yet. Where [`BOOT`] stands in the environment, each start has a name of its own:
    /// that of the node, a full stop, and its number from 1 on.
    pub(crate) fn new(
        name: &str,
        port: u16,
        binary: &Path,
        directory: &Path,
        environment: Vec<(String, String)>,
    ) -> Self {
        let inner = Mutex::new(Inner { state: State::Down, process: None, ended: 0, boots: 0 });
        Self {
            name: name.to_owned(),
            port,
            binary: binary.to_owned(),
            directory: directory.join(name),
            environment,
            inner,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, inner: &mut Inner) -> anyhow::Result<Child> {
        inner.boots += 1;
        let boot = format!("{}.{}", self.name, inner.boots);
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("TIDINGS_")) {
                command.env_remove(name);
            }
        }
        // It ends with our end of the pipe, should we be killed.
        command.arg("serve").arg("--end-with-stdin").arg("--data-dir").arg(&self.directory);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--node-id", &self.name]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value.replace(BOOT, &boot))));
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        Ok(command.spawn()?)
    }

    /// Where it writes what it has to say.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.with_extension("log")
    }

    pub(crate) fn state(&self) -> State {
        self.inner().state
    }

    pub(crate) fn ended(&self) -> u64 {
        self.inner().ended
    }

    /// Starts it and does not wait.
    pub(crate) fn start(&self) -> anyhow::Result<()> {
        let mut inner = self.inner();
        let process = self.spawn(&mut inner)?;
        inner.process = Some(process);
        inner.state = State::Up;
        Ok(())
    }

    /// Starts it again where it ended by itself, as a service manager would. Returns whether it did.
    pub(crate) fn revive(&self) -> anyhow::Result<bool> {
        let mut inner = self.inner();
        let ended = match (inner.state, &mut inner.process) {
            (State::Up, Some(process)) => process.try_wait()?.is_some(),
            _ => false,
        };
        if ended {
            inner.process = Some(self.spawn(&mut inner)?);
            inner.ended += 1;
        }
        Ok(ended)
    }

    /// SIGKILL: nothing is flushed, nothing is said. Returns whether there was a process to kill.
    pub(crate) fn kill9(&self) -> bool {
        let mut inner = self.inner();
        inner.state = State::Down;
        let Some(mut process) = inner.process.take() else { return false };
        let ran = matches!(process.try_wait(), Ok(None));
        let _ = process.kill();
        let _ = process.wait();
        ran
    }

    /// SIGTERM, and the end it leads to; SIGKILL when that does not come. Returns whether it ended in good order.
    pub(crate) async fn terminate(&self) -> bool {
        let process = {
            let mut inner = self.inner();
            inner.state = State::Down;
            inner.process.take()
        };
        let Some(mut process) = process else { return true };
        signal(&process, Signal::TERM);
        let deadline = Instant::now() + SHUTDOWN;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = process.try_wait() {
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _ = process.kill();
        let _ = process.wait();
        false
    }

    /// Whether its process runs.
    pub(crate) fn runs(&self) -> bool {
        self.inner().process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// SIGSTOP or SIGCONT. Returns whether there was a process to tell.
    pub(crate) fn pause(&self, paused: bool) -> bool {
        let mut inner = self.inner();
        let Some(process) = &mut inner.process else { return false };
        let ran = matches!(process.try_wait(), Ok(None));
        signal(process, if paused { Signal::STOP } else { Signal::CONT });
        inner.state = if paused { State::Paused } else { State::Up };
        ran
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn signal(process: &Child, signal: Signal) {
    // The child is not reaped before it is waited for, so its id cannot have passed to another process.
    if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
