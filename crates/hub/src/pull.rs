//! A model out of a repository into a folder: its name appears when all of it is there and checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use crate::repository::{RemoteFile, Repository};
use crate::select::{Choice, choose};
use crate::{Error, Hub};

/// Folder of what has been begun, which nobody takes for a model.
const UNFINISHED: &str = ".unfinished";
/// Times that an answer may break off without a byte before that is said.
const BREAKS: u32 = 3;
/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// What is to be had, and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Pull<'a> {
    /// From where.
    pub repository: &'a Repository,
    /// Which variant of weights, such as `fp16`.
    pub variant: Option<&'a str>,
    /// One file instead of a folder.
    pub file: Option<&'a str>,
    /// The folder of models.
    pub folder: &'a Path,
    /// What it is called there.
    pub name: &'a str,
}

/// Hears how a pull goes on.
pub trait Progress {
    /// So many bytes will be there, of which `there` are already.
    fn begin(&mut self, bytes: u64, there: u64);
    /// A file is being had.
    fn file(&mut self, path: &str);
    /// So many bytes came.
    fn came(&mut self, bytes: u64);
    /// So many bytes that had come are of no use.
    fn lost(&mut self, bytes: u64);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn begin(&mut self, _: u64, _: u64) {}
    fn file(&mut self, _: &str) {}
    fn came(&mut self, _: u64) {}
    fn lost(&mut self, _: u64) {}
}

/// A file on its way.
struct Part<'a> {
    remote: &'a RemoteFile,
    /// Where it is when it is whole and checked.
    whole: PathBuf,
    /// Where it is until then. Named by what it is to be, so that nothing else is gone on with.
    begun: PathBuf,
}

impl Pull<'_> {
    /// Brings the model into the folder. Gives its path, which did not exist before.
    ///
    /// What an earlier pull of the same name left is gone on with. Fails with [`Error`]; then nothing has the name,
    /// and what came so far is kept for the next time, but for files that differ from what is listed.
    pub fn carry_out(&self, hub: &Hub, progress: &mut dyn Progress) -> Result<PathBuf, Error> {
        let ends = [self.name.to_owned(), format!("{}.safetensors", self.name)];
        for end in &ends {
            let path = self.folder.join(end);
            if path.symlink_metadata().is_ok() {
                return Err(Error::Taken { path });
            }
        }
        let snapshot = hub.snapshot(self.repository)?;
        let choice = choose(self.repository, &snapshot.files, self.variant, self.file)?;
        let begun = self.folder.join(UNFINISHED);
        let stage = begun.join(self.name);
        let inner = stage.join("files");
        make(&inner)?;
        let lock = self.lock(&stage)?;
        let parts = self.parts(&choice, &inner)?;
        let all = parts.iter().map(|part| part.remote.size).sum();
        progress.begin(all, parts.iter().map(Part::there).sum());
        for part in &parts {
            progress.file(&part.remote.path);
            self.have(hub, &snapshot.commit, part, progress)?;
        }
        let (from, to) = match (&choice, parts.as_slice()) {
            (Choice::File(_), [part]) => (part.whole.clone(), self.folder.join(&ends[1])),
            _ => {
                drop_others(&inner, &parts)?;
                (inner, self.folder.join(&ends[0]))
            }
        };
        if to.symlink_metadata().is_ok() {
            return Err(Error::Taken { path: to });
        }
        fs::rename(&from, &to).map_err(failed(&to))?;
        drop(lock);
        // What is left is ours and of no use; the last one to leave takes the folder along.
        let _ = fs::remove_dir_all(&stage);
        let _ = fs::remove_dir(&begun);
        Ok(to)
    }

    /// Keeps other processes from the same name, until it is dropped.
    fn lock(&self, stage: &Path) -> Result<File, Error> {
        let path = stage.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(Error::InUse {
                path: self.folder.join(self.name),
            }),
            Err(fs::TryLockError::Error(source)) => Err(Error::File { path, source }),
        }
    }

    fn parts<'f>(&self, choice: &'f Choice, inner: &Path) -> Result<Vec<Part<'f>>, Error> {
        let part = |remote: &'f RemoteFile| {
            let whole = inner.join(&remote.path);
            if let Some(folder) = whole.parent() {
                make(folder)?;
            }
            let mark = remote.sha256.as_deref().unwrap_or("small");
            let mark: String = mark.chars().take(16).collect();
            Ok::<_, Error>(Part {
                begun: inner.join(format!("{}.{mark}.part", remote.path)),
                whole,
                remote,
            })
        };
        choice.files().iter().map(part).collect()
    }

    /// Has one file, whole and checked.
    fn have(
        &self,
        hub: &Hub,
        commit: &str,
        part: &Part<'_>,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        if part.whole.exists() {
            let (size, hash) = hashed(&part.whole)?;
            if part.agrees(size, &hash) && part.remote.sha256.is_some() {
                return Ok(());
            }
            // Of another state of the repository, or too small to be worth a look.
            progress.lost(size.min(part.remote.size));
            fs::remove_file(&part.whole).map_err(failed(&part.whole))?;
        }
        let mut breaks = 0;
        loop {
            let before = part.there();
            match self.go_on(hub, commit, part, progress) {
                Ok(()) => break,
                Err(Broken::Said(error)) => return Err(error),
                Err(Broken::Off(cause)) => {
                    breaks = if part.there() > before { 1 } else { breaks + 1 };
                    if breaks >= BREAKS {
                        let host = hub.host();
                        return Err(Error::Offline { host, cause });
                    }
                    std::thread::sleep(hub.pause);
                }
            }
        }
        let (size, hash) = hashed(&part.begun)?;
        if !part.agrees(size, &hash) {
            fs::remove_file(&part.begun).map_err(failed(&part.begun))?;
            let (got, expected) = match &part.remote.sha256 {
                Some(listed) if size == part.remote.size => {
                    (format!("sha256 {hash}"), listed.clone())
                }
                _ => (format!("{size} bytes"), part.remote.size.to_string()),
            };
            return Err(Error::Differs {
                file: part.remote.path.clone(),
                got,
                expected,
            });
        }
        fs::rename(&part.begun, &part.whole).map_err(failed(&part.whole))
    }

    /// Reads the rest of a file into what is there of it.
    fn go_on(
        &self,
        hub: &Hub,
        commit: &str,
        part: &Part<'_>,
        progress: &mut dyn Progress,
    ) -> Result<(), Broken> {
        let write = |source| {
            Broken::Said(Error::File {
                path: part.begun.clone(),
                source,
            })
        };
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true);
        let mut file = file.open(&part.begun).map_err(write)?;
        let mut at = file.seek(SeekFrom::End(0)).map_err(write)?;
        // Small files have no hash to tell whether what is there is the beginning of this one.
        if at > part.remote.size || part.remote.sha256.is_none() {
            progress.lost(at.min(part.remote.size));
            file.set_len(0).map_err(write)?;
            at = file.seek(SeekFrom::Start(0)).map_err(write)?;
        }
        if at == part.remote.size && at > 0 {
            return Ok(());
        }
        let answer = hub.open(self.repository, commit, &part.remote.path, at);
        let answer = answer.map_err(|error| match error {
            Error::Offline { cause, .. } => Broken::Off(cause),
            Error::Status { status, .. } if status >= 500 => {
                Broken::Off(format!("status {status}"))
            }
            other => Broken::Said(other),
        })?;
        if at > 0 && answer.status() != StatusCode::PARTIAL_CONTENT {
            // It starts at the beginning, whatever was asked for.
            progress.lost(at);
            file.set_len(0).map_err(write)?;
            at = file.seek(SeekFrom::Start(0)).map_err(write)?;
            if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                return Err(Broken::Off("status 416".to_owned()));
            }
        }
        let mut reader = answer.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Broken::Off(error.to_string())),
            };
            if at + count as u64 > part.remote.size {
                drop(file);
                let _ = fs::remove_file(&part.begun);
                return Err(Broken::Said(Error::Differs {
                    file: part.remote.path.clone(),
                    got: format!("more than {} bytes", part.remote.size),
                    expected: part.remote.size.to_string(),
                }));
            }
            file.write_all(&chunk[..count]).map_err(write)?;
            at += count as u64;
            progress.came(count as u64);
        }
        if at < part.remote.size {
            return Err(Broken::Off(format!("it broke off after {at} bytes")));
        }
        // Before it gets its name, it is on the disk.
        file.sync_all().map_err(write)
    }
}

impl Part<'_> {
    /// Bytes that are there already.
    fn there(&self) -> u64 {
        let length = |path: &Path| fs::metadata(path).map(|facts| facts.len());
        let there = length(&self.whole).or_else(|_| length(&self.begun));
        there.unwrap_or(0).min(self.remote.size)
    }

    fn agrees(&self, size: u64, hash: &str) -> bool {
        let listed = self.remote.sha256.as_deref();
        size == self.remote.size && listed.is_none_or(|listed| listed == hash)
    }
}

/// How reading a file ended before its end.
enum Broken {
    /// The line broke off, and may be picked up.
    Off(String),
    /// It is no use to ask again.
    Said(Error),
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(failed(folder))
}

/// A file's size, and its SHA-256 in hexadecimal.
fn hashed(path: &Path) -> Result<(u64, String), Error> {
    let mut file = File::open(path).map_err(failed(path))?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk).map_err(failed(path))?;
        if count == 0 {
            break;
        }
        hash.update(&chunk[..count]);
        size += count as u64;
    }
    let digits = hash.finalize();
    Ok((
        size,
        digits.iter().map(|byte| format!("{byte:02x}")).collect(),
    ))
}

/// Removes what an earlier pull left that is not part of this one.
fn drop_others(folder: &Path, parts: &[Part<'_>]) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.is_dir() {
            drop_others(&path, parts)?;
            let _ = fs::remove_dir(&path); // stays where it holds something
        } else if !parts.iter().any(|part| part.whole == path) {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}
