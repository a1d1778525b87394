//! The data directory: who may see it, who runs on it, and the keys in it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::config::check::{ADMIN_KEY_CHARS_MIN, master_key, node};
use crate::failure::{Exit, Failure};

/// The file that holds the admin key.
pub(crate) const ADMIN_KEY: &str = "admin.key";
/// The file that holds the master key.
pub(crate) const MASTER_KEY: &str = "master.key";
/// The file that holds the node's name.
pub(crate) const NODE_ID: &str = "node.id";
/// The file that says where the running server listens.
pub(crate) const SERVER_URL: &str = "server.url";
/// The file that a running server holds locked.
const LOCK: &str = "tidings.lock";

/// A data directory that belongs to this process until it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock goes with the process, however it ends, so that nothing has to be cleared away after a crash.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is missing, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, Failure> {
        let wrong = |error: std::io::Error| {
            Failure::failed(format!("the data directory {} cannot be used: {error}", path.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
        // The absolute path holds wherever the process goes, and in what it tells people.
        let path = fs::canonicalize(path).map_err(wrong)?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The admin key of this directory; made if there is none yet.
    pub(crate) fn admin_key(&self) -> Result<String, Failure> {
        let key = self.secret(ADMIN_KEY, || format!("tda_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())))?;
        if key.len() < ADMIN_KEY_CHARS_MIN {
            return Err(self.broken(ADMIN_KEY, &format!("it holds less than {ADMIN_KEY_CHARS_MIN} characters")));
        }
        Ok(key)
    }

    /// The master key of this directory; made if there is none yet.
    pub(crate) fn master_key(&self) -> Result<[u8; 32], Failure> {
        let key = self.secret(MASTER_KEY, || STANDARD.encode(rand::random::<[u8; 32]>()))?;
        master_key(&key).map_err(|reason| self.broken(MASTER_KEY, &reason))
    }

    /// This node's name; made if there is none yet, and then the same over all restarts.
    pub(crate) fn node_id(&self) -> Result<String, Failure> {
        let id = self.secret(NODE_ID, || format!("node-{}", ulid::Ulid::generate()))?;
        node(&id).map_err(|reason| self.broken(NODE_ID, &format!("the name {reason}")))?;
        Ok(id)
    }

    /// Says where the server listens, for those who started it on any free port.
    pub(crate) fn announce(&self, url: &str) -> Result<(), Failure> {
        self.replace(SERVER_URL, url)
    }

    /// The server listens no more. That the file stays would only mislead, never harm.
    pub(crate) fn renounce(&self) {
        let _ = fs::remove_file(self.path.join(SERVER_URL));
    }

    /// Reads a secret (or what else must stay as it was made), or makes it. An existing file is never changed, whatever it holds.
    fn secret(&self, name: &str, make: impl Fn() -> String) -> Result<String, Failure> {
        match fs::read_to_string(self.path.join(name)) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = make();
                self.replace(name, &secret)?;
                Ok(secret)
            }
            Err(error) => Err(self.broken(name, &error.to_string())),
        }
    }

    /// Writes a file whole or not at all, readable for this user only.
    fn replace(&self, name: &str, text: &str) -> Result<(), Failure> {
        let beside = self.path.join(format!(".{name}.new"));
        let write = || {
            // What a crash left behind is not ours to trust.
            let _ = fs::remove_file(&beside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&beside, self.path.join(name))?;
            File::open(&self.path)?.sync_all()
        };
        write()
            .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", self.path.join(name).display())))
    }

    fn broken(&self, name: &str, reason: &str) -> Failure {
        Failure::usage(format!(
            "{} cannot be used: {reason}. It is never overwritten; move it away and a new one is made.",
            self.path.join(name).display()
        ))
    }
}

/// Keeps servers away from a database file: takes the data directory, if it is there, and the folder that the file lies in.
pub(crate) fn hold(dir: &Path, file: &Path) -> Result<Vec<DataDir>, Failure> {
    let place = fs::canonicalize(file);
    let place = place.map_err(|error| Failure::failed(format!("{} cannot be used: {error}", file.display())))?;
    let mut held = Vec::new();
    if dir.exists() {
        held.push(DataDir::take(dir)?);
    }
    if let Some(folder) = place.parent().filter(|folder| held.iter().all(|taken| taken.path() != *folder)) {
        held.push(DataDir::take(folder)?);
    }
    Ok(held)
}

/// Gives what root makes in a folder to the folder's owner: a server that runs as somebody else must be able to open it.
pub(crate) fn give_to_owner(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(folder)?;
    // Never what a link points to: the folder's owner could have put one there.
    lchown(path, Some(owner.uid()), Some(owner.gid()))
}

/// What others on this machine may see and should not: a sentence each.
pub(crate) fn exposures(path: &Path) -> Vec<String> {
    let wide = |path: PathBuf, expected: u32| {
        let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
        let exposed = mode & !expected != 0;
        exposed.then(|| format!("{} has mode {mode:04o}; chmod {expected:o} keeps others out", path.display()))
    };
    [wide(path.to_owned(), 0o700), wide(path.join(ADMIN_KEY), 0o600), wide(path.join(MASTER_KEY), 0o600)]
        .into_iter()
        .flatten()
        .collect()
}

/// The process that runs on a data directory, if one does. Empty where it does not say which.
pub(crate) fn runner(path: &Path) -> Option<String> {
    let file = File::open(path.join(LOCK)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            Some(fs::read_to_string(path.join(LOCK)).unwrap_or_default().trim().to_owned())
        }
        _ => None,
    }
}

fn lock(path: &Path) -> Result<File, Failure> {
    let wrong =
        |error: std::io::Error| Failure::failed(format!("{} cannot be used: {error}", path.join(LOCK).display()));
    let options =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK));
    let mut file = options.map_err(wrong)?;
    give_to_owner(&path.join(LOCK)).map_err(wrong)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => String::new(),
                pid => format!(" (process {pid})"),
            };
            let text = format!(
                "another server{holder} runs on the data directory {}; give this one its own with --data-dir",
                path.display()
            );
            return Err(Failure::new(Exit::Failed, text));
        }
        Err(TryLockError::Error(error)) => return Err(wrong(error)),
    }
    file.rewind()
        .and_then(|()| file.set_len(0))
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(wrong)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keys_are_made_once_for_this_user_only_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let (admin, master) = {
            let data = DataDir::take(&path).unwrap();
            (data.admin_key().unwrap(), data.master_key().unwrap())
        };
        assert_eq!((mode(&path), mode(&path.join(ADMIN_KEY)), mode(&path.join(MASTER_KEY))), (0o700, 0o600, 0o600));
        assert!(exposures(&path).is_empty());
        let data = DataDir::take(&path).unwrap();
        assert_eq!((data.admin_key().unwrap(), data.master_key().unwrap()), (admin, master));

        let node = data.node_id().unwrap();
        assert!(node.starts_with("node-"), "{node}");
        assert_eq!(data.node_id().unwrap(), node);
        fs::write(path.join(NODE_ID), "a b\n").unwrap();
        assert!(data.node_id().unwrap_err().text.contains("must be letters"));

        fs::write(path.join(MASTER_KEY), "").unwrap();
        assert!(data.master_key().unwrap_err().text.contains("never overwritten"));
        assert_eq!(fs::read_to_string(path.join(MASTER_KEY)).unwrap(), "");
    }

    #[test]
    fn two_servers_never_share_a_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::take(dir.path()).unwrap();
        assert_eq!(runner(dir.path()), Some(std::process::id().to_string()));
        let refused = DataDir::take(dir.path()).unwrap_err();
        assert!(refused.text.contains(&format!("another server (process {})", std::process::id())), "{refused}");
        drop(first);
        assert_eq!(runner(dir.path()), None);
        DataDir::take(dir.path()).unwrap();
    }

    #[test]
    fn what_others_may_see_is_pointed_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(exposures(dir.path())[0].contains("0755; chmod 700"));
    }
}
