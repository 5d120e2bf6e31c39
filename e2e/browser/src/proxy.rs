//! A reverse proxy that shows the service under a path prefix, as nginx would. One request a connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Longest head of a request, in bytes.
const HEAD: usize = 64 << 10;

/// The proxy, running until the program ends.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where the page is, without a slash at the end.
    pub(crate) address: String,
    strays: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Listens on a free port and passes on to `upstream` what is under `prefix`, without it.
    pub(crate) async fn start(upstream: &str, prefix: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}{prefix}", listener.local_addr()?);
        let strays = Arc::<Mutex<Vec<String>>>::default();
        let (upstream, found) = (upstream.to_owned(), Arc::clone(&strays));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, found) = (upstream.clone(), Arc::clone(&found));
                tokio::spawn(async move {
                    // A browser that leaves in mid-answer is no fault.
                    let _ = pass(client, &upstream, prefix, &found).await;
                });
            }
        });
        Ok(Self { address, strays })
    }

    /// What was asked for outside of the prefix.
    pub(crate) fn strays(&self) -> Vec<String> {
        let strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner);
        strays.clone()
    }
}

async fn pass(
    mut client: TcpStream,
    upstream: &str,
    prefix: &str,
    strays: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if read.len() > HEAD || client.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let Some(path) = target
        .strip_prefix(prefix)
        .filter(|path| path.starts_with('/'))
    else {
        strays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(target);
        let none = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return client.write_all(none).await;
    };
    let mut passed = String::new();
    for (at, line) in head.trim_end().split("\r\n").enumerate() {
        let name = line.split(':').next().unwrap_or_default();
        match at {
            0 => passed += &line.replacen(&target, path, 1),
            _ if name.eq_ignore_ascii_case("connection") => continue,
            _ => passed += line,
        }
        passed += "\r\n";
    }
    passed += "Connection: close\r\n\r\n";
    let mut service = TcpStream::connect(upstream).await?;
    service.write_all(passed.as_bytes()).await?;
    service.write_all(&read[end..]).await?;
    copy_bidirectional(&mut client, &mut service).await?;
    Ok(())
}
