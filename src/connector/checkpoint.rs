//! Checkpoints on a local directory: whole or not there, never a mix, never another job's.
//!
//! A manifest is written under a temporary name, fsynced, renamed, and its directory fsynced; the previous one stays
//! until the next is finalized. `finalized` records that an epoch's committables are all committed: only then may a
//! transactional id that took part be used again. The directory is locked for as long as the store is open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::versioned::{Decoder, Versioned, put_bytes, put_list};
use super::{Epoch, Source};
use crate::error::{Error, ErrorKind, Operation, Recovery, Result};
use crate::wire::crc32c;

const MAGIC: &[u8; 8] = b"milenack";

/// Everything a job restarts from, each part as the bytes its owner wrote.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// The job the checkpoint belongs to.
    pub job: String,
    /// The checkpoint's number; 0 holds leases only, written before the first record.
    pub epoch: u64,
    /// The enumerator's state; `None` in a manifest that holds leases only.
    pub enumerator: Option<Vec<u8>>,
    /// Every split at its position.
    pub splits: Vec<Vec<u8>>,
    /// The writers' states: the leases.
    pub writers: Vec<Vec<u8>>,
    /// What must be committed for the epoch to count.
    pub committables: Vec<Vec<u8>>,
}

impl Versioned for Manifest {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.job.as_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        put_list(out, self.enumerator.as_slice(), |out, bytes| put_bytes(out, bytes));
        for list in [&self.splits, &self.writers, &self.committables] {
            put_list(out, list, |out, bytes| put_bytes(out, bytes));
        }
    }

    fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        let bytes_list = |from: &mut Decoder<'_>| from.list(|d| d.bytes().map(<[u8]>::to_vec));
        Ok(Manifest {
            job: from.text()?,
            epoch: from.u64()?,
            enumerator: bytes_list(from)?.into_iter().next(),
            splits: bytes_list(from)?,
            writers: bytes_list(from)?,
            committables: bytes_list(from)?,
        })
    }
}

/// An enumerator's state with every split, as [`Source::enumerator`] takes them.
pub type SourcePart<S> = (<S as Source>::EnumState, Vec<<S as Source>::Split>);

impl Manifest {
    /// The source's part: the enumerator's state and the splits; `None` in a manifest that holds leases only.
    pub fn source<S: Source>(&self) -> Result<Option<SourcePart<S>>> {
        let Some(enumerator) = &self.enumerator else { return Ok(None) };
        Ok(Some((S::EnumState::from_bytes(enumerator)?, decode_all(&self.splits)?)))
    }
}

/// Reads a list of values that each carry their version.
pub(crate) fn decode_all<T: Versioned>(list: &[Vec<u8>]) -> Result<Vec<T>> {
    list.iter().map(|bytes| T::from_bytes(bytes)).collect()
}

/// Writes a list of values, each with its version.
pub(crate) fn encode_all<T: Versioned>(list: &[T]) -> Vec<Vec<u8>> {
    list.iter().map(Versioned::to_bytes).collect()
}

/// What a store found when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// The newest complete checkpoint.
    pub manifest: Manifest,
    /// Whether its committables are known to be committed.
    pub is_finalized: bool,
    /// Files that were damaged or torn and passed over, for a warning.
    pub passed_over: Vec<PathBuf>,
}

/// The checkpoints of one job in one directory, locked against a second job.
#[derive(Debug)]
pub struct CheckpointStore {
    directory: PathBuf,
    job: String,
    _lock: File,
}

impl CheckpointStore {
    /// Opens (or creates) the directory for `job` and reads the newest complete checkpoint.
    ///
    /// Fails if the directory cannot be written, is locked by a running job, or holds another job's checkpoints; and if
    /// it holds checkpoints of which none is readable, because starting afresh would lose or repeat records silently.
    pub fn open(directory: &Path, job: &str) -> Result<(CheckpointStore, Option<Restored>)> {
        fs::create_dir_all(directory).map_err(|e| io_error(directory, "cannot be created", &e))?;
        let lock = lock(directory)?;
        let store = CheckpointStore { directory: directory.to_owned(), job: job.to_owned(), _lock: lock };
        let restored = store.newest()?;
        Ok((store, restored))
    }

    /// Makes a checkpoint durable. When this returns, it is what a restart begins from.
    pub fn persist(&self, manifest: &Manifest) -> Result<()> {
        self.write_durably(&manifest_name(manifest.epoch), &manifest.to_bytes())
    }

    /// Records that every committable of `epoch` is committed, and drops older checkpoints.
    pub fn finalize(&self, epoch: Epoch) -> Result<()> {
        self.write_durably("finalized", &epoch.0.to_le_bytes())?;
        for (older, path) in self.manifests()? {
            if older < epoch.0 {
                fs::remove_file(&path).map_err(|e| io_error(&path, "cannot be removed", &e))?;
            }
        }
        Ok(())
    }

    fn write_durably(&self, name: &str, payload: &[u8]) -> Result<()> {
        let (temporary, path) = (self.directory.join(format!("{name}.tmp")), self.directory.join(name));
        let written = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(&sealed(payload))?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_directory(&self.directory)
        })();
        written.map_err(|e| io_error(&path, "cannot be written", &e))
    }

    fn newest(&self) -> Result<Option<Restored>> {
        let mut passed_over = Vec::new();
        let mut found = self.manifests()?;
        found.sort_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
        for (epoch, path) in found {
            match self.read(&path, epoch)? {
                Some(manifest) => {
                    let is_finalized = self.finalized_epoch()?.is_some_and(|done| done >= epoch);
                    return Ok(Some(Restored { manifest, is_finalized, passed_over }));
                }
                None => passed_over.push(path),
            }
        }
        let Some(damaged) = passed_over.first() else { return Ok(None) };
        let detail = format!(
            "no checkpoint in it is readable (first tried: {}); restore the directory from a copy, or move it away to start afresh",
            damaged.display()
        );
        Err(Error::new(Operation::Checkpoint, ErrorKind::State, self.directory.display().to_string(), detail))
    }

    /// The manifest in `path`, or `None` if it is torn or damaged.
    fn read(&self, path: &Path, epoch: u64) -> Result<Option<Manifest>> {
        let bytes = fs::read(path).map_err(|e| io_error(path, "cannot be read", &e))?;
        let Some(manifest) = unsealed(&bytes).and_then(|payload| Manifest::from_bytes(payload).ok()) else {
            return Ok(None);
        };
        if manifest.job != self.job {
            let detail = format!(
                "holds checkpoints of job `{}`, not of `{}`; give each job a directory of its own",
                manifest.job, self.job
            );
            return Err(Error::new(
                Operation::Checkpoint,
                ErrorKind::State,
                self.directory.display().to_string(),
                detail,
            ));
        }
        Ok((manifest.epoch == epoch).then_some(manifest))
    }

    fn finalized_epoch(&self) -> Result<Option<u64>> {
        let path = self.directory.join("finalized");
        match fs::read(&path) {
            // A damaged record only means that commits are repeated, which they may be.
            Ok(bytes) => Ok(unsealed(&bytes).and_then(|p| p.try_into().ok()).map(u64::from_le_bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error(&path, "cannot be read", &e)),
        }
    }

    fn manifests(&self) -> Result<Vec<(u64, PathBuf)>> {
        let unreadable = |e| io_error(&self.directory, "cannot be listed", &e);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if let Some(epoch) = name.strip_prefix("checkpoint-").and_then(|n| n.parse().ok()) {
                found.push((epoch, path));
            }
        }
        Ok(found)
    }
}

/// Writes a savepoint: one manifest in a directory that holds nothing else, to start a job from.
pub fn write_savepoint(directory: &Path, manifest: &Manifest) -> Result<()> {
    let (store, restored) = CheckpointStore::open(directory, &manifest.job)?;
    if restored.is_some() {
        let detail = "already holds checkpoints; a savepoint takes an empty directory";
        return Err(Error::new(Operation::Checkpoint, ErrorKind::State, directory.display().to_string(), detail));
    }
    store.persist(manifest)?;
    store.finalize(Epoch(manifest.epoch))
}

fn manifest_name(epoch: u64) -> String {
    format!("checkpoint-{epoch:020}")
}

/// Magic, length, checksum, payload.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&crc32c(payload).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (checksum, payload) = rest.split_first_chunk::<4>()?;
    let is_whole = u64::from_le_bytes(*length) == payload.len() as u64;
    (is_whole && u32::from_le_bytes(*checksum) == crc32c(payload)).then_some(payload)
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| io_error(&path, "cannot be opened for writing", &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let detail = "is in use by a running job; stop it, or give this job a directory of its own";
            let error = Error::new(Operation::Checkpoint, ErrorKind::State, directory.display().to_string(), detail);
            Err(error.with_recovery(Recovery::Reconfigure))
        }
        Err(TryLockError::Error(e)) => Err(io_error(&path, "cannot be locked", &e)),
    }
}

/// A rename is durable only once its directory is.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

fn io_error(path: &Path, what: &str, cause: &io::Error) -> Error {
    Error::new(Operation::Checkpoint, ErrorKind::Io, path.display().to_string(), format!("{what}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let path = std::env::temp_dir().join(format!("milena-store-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Dir(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn manifest(epoch: u64) -> Manifest {
        Manifest {
            job: "etl".into(),
            epoch,
            enumerator: Some(vec![1, 2]),
            splits: vec![vec![3], vec![]],
            writers: vec![vec![4; 300]],
            committables: vec![vec![5]],
        }
    }

    fn reopen(dir: &Dir) -> Option<Restored> {
        CheckpointStore::open(&dir.0, "etl").unwrap().1
    }

    #[test]
    fn a_restart_begins_from_the_newest_checkpoint_and_knows_whether_it_was_committed() {
        let dir = Dir::new("newest");
        let (store, none) = CheckpointStore::open(&dir.0, "etl").unwrap();
        assert_eq!(none, None);
        store.persist(&manifest(1)).unwrap();
        store.finalize(Epoch(1)).unwrap();
        store.persist(&manifest(2)).unwrap();
        drop(store);
        let restored = reopen(&dir).unwrap();
        assert_eq!((restored.manifest, restored.is_finalized), (manifest(2), false));
    }

    #[test]
    fn every_torn_or_flipped_newest_falls_back_to_the_previous_complete_one() {
        let dir = Dir::new("torn");
        let (store, _) = CheckpointStore::open(&dir.0, "etl").unwrap();
        store.persist(&manifest(1)).unwrap();
        store.persist(&manifest(2)).unwrap();
        let path = dir.0.join(manifest_name(2));
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(store.newest().unwrap().unwrap().manifest, manifest(1), "cut at {cut}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            let restored = store.newest().unwrap().unwrap();
            assert_eq!((restored.manifest, restored.passed_over), (manifest(1), vec![path.clone()]), "bit {bit}");
        }
    }

    #[test]
    fn a_directory_without_one_readable_checkpoint_is_refused_rather_than_started_afresh() {
        let dir = Dir::new("unreadable");
        let (store, _) = CheckpointStore::open(&dir.0, "etl").unwrap();
        store.persist(&manifest(1)).unwrap();
        fs::write(dir.0.join(manifest_name(1)), b"garbage").unwrap();
        drop(store);
        let e = CheckpointStore::open(&dir.0, "etl").unwrap_err();
        assert!(e.to_string().contains("no checkpoint in it is readable"), "{e}");
    }

    #[test]
    fn another_jobs_directory_and_a_running_jobs_directory_are_refused() {
        let dir = Dir::new("foreign");
        let (store, _) = CheckpointStore::open(&dir.0, "etl").unwrap();
        store.persist(&manifest(1)).unwrap();
        let e = CheckpointStore::open(&dir.0, "etl").unwrap_err();
        assert!(e.to_string().contains("in use by a running job"), "{e}");
        drop(store);
        let e = CheckpointStore::open(&dir.0, "other").unwrap_err();
        assert!(e.to_string().contains("checkpoints of job `etl`, not of `other`"), "{e}");
    }

    #[test]
    fn the_previous_checkpoint_is_kept_until_the_next_is_finalized() {
        let dir = Dir::new("kept");
        let (store, _) = CheckpointStore::open(&dir.0, "etl").unwrap();
        for epoch in 1..=3 {
            store.persist(&manifest(epoch)).unwrap();
        }
        assert_eq!(store.manifests().unwrap().len(), 3);
        store.finalize(Epoch(3)).unwrap();
        assert_eq!(store.manifests().unwrap().len(), 1);
        assert!(store.newest().unwrap().unwrap().is_finalized);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let dir = Dir::new("file");
        fs::create_dir_all(&dir.0).unwrap();
        let file = dir.0.join("plain");
        fs::write(&file, b"").unwrap();
        let e = CheckpointStore::open(&file, "etl").unwrap_err();
        assert!(e.to_string().contains("plain") && e.kind() == ErrorKind::Io, "{e}");
    }
}
