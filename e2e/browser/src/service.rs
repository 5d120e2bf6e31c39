//! Our binary, serving on a port and a folder of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// `imagegen serve`, running.
#[derive(Debug)]
pub(crate) struct Service {
    binary: PathBuf,
    folder: PathBuf,
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub(crate) origin: String,
    child: Child,
}

impl Service {
    /// Starts on an empty folder and a free port. Keys named in `keys` are made first; gives them too.
    ///
    /// Fails where the binary does not serve within 60 s.
    pub(crate) async fn start(
        binary: &Path,
        folder: PathBuf,
        keys: &[&str],
    ) -> Result<(Self, Vec<String>)> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let mut secrets = Vec::new();
        for key in keys {
            let made = Command::new(binary)
                .args(["keys", "add", key, "--data"])
                .arg(folder.join("data"))
                .output()
                .await?;
            if !made.status.success() {
                bail!("keys add: {}", String::from_utf8_lossy(&made.stderr));
            }
            secrets.push(String::from_utf8(made.stdout)?.trim().to_owned());
        }
        let (child, origin) = spawn(binary, &folder, "127.0.0.1:0").await?;
        let service = Self {
            binary: binary.to_owned(),
            folder,
            origin,
            child,
        };
        Ok((service, secrets))
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }

    /// Ends the process as a power cut would: SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Starts again on the same folder and port, after [`Self::kill`].
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        let address = self.address().to_owned();
        (self.child, self.origin) = spawn(&self.binary, &self.folder, &address).await?;
        Ok(())
    }
}

async fn spawn(binary: &Path, folder: &Path, address: &str) -> Result<(Child, String)> {
    let log = folder.join("log.txt");
    let mut child = Command::new(binary)
        .args(["serve", "--address", address, "--data"])
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let said = fs::read_to_string(&log)?;
        if let Some(origin) = origin_in(&said) {
            return Ok((child, origin));
        }
        if let Some(status) = child.try_wait()? {
            bail!("the service ended with {status}: {said}");
        }
        if Instant::now() > end {
            bail!("the service does not serve: {said}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The origin in `serving http://127.0.0.1:PORT/ (...)`.
fn origin_in(said: &str) -> Option<String> {
    let line = said.lines().find_map(|line| line.split_once("serving "))?;
    let address = line.1.split_whitespace().next()?;
    Some(address.trim_end_matches('/').to_owned())
}
