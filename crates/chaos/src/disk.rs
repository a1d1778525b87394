//! A small disk of its own for the database, so that it can run full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

/// Room for a run of hours at the rates of this program; the image is sparse.
const BYTES: u64 = 4 << 30;

/// A file system in a file, mounted while this handle lives.
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
    /// Unmounts when this process dies without dropping anything.
    watchdog: Child,
}

impl Disk {
    /// Makes and mounts one below a directory. An error where this user may not mount.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let (image, mount) = (directory.join("disk.img"), directory.join("disk"));
        fs::File::create(&image)?.set_len(BYTES)?;
        fs::create_dir(&mount)?;
        call("mkfs.ext4", &["-q", "-m", "0"], &[&image])?;
        call("mount", &["-o", "loop"], &[&image, &mount])?;
        let watchdog = Command::new("sh")
            .args(["-c", r#"trap '' INT TERM HUP; read _; sleep 3; umount -l "$1""#, "watchdog"])
            .arg(&mount)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { image, mount, watchdog })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let filler = fs::File::create(self.filler())?;
        // What is left is allocated in ever smaller pieces: some is lost to the file system's own books.
        let (mut from, mut piece) = (0, BYTES);
        while piece >= 4096 {
            match rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), from, piece) {
                Ok(()) => from += piece,
                Err(rustix::io::Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("fallocate"),
            }
        }
        Ok(())
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        let _ = fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        // Lazily: a process that is just ending may still hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.mount).output();
        // A history that is kept does without it.
        let _ = fs::remove_file(&self.image);
    }
}

fn call(program: &str, flags: &[&str], paths: &[&Path]) -> anyhow::Result<()> {
    let output = Command::new(program).args(flags).args(paths).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
