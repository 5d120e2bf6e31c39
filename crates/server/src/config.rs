//! What the service is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What the service is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Folder of jobs, pictures, keys and sessions.
    pub data: PathBuf,
    /// Names under which it is reached from elsewhere, such as a proxy's; without a port. An address in
    /// figures and `localhost` need not be named.
    pub hosts: Vec<String>,
    /// Origins of other pages that may call the service, such as `https://example.org`.
    pub origins: Vec<String>,
    /// What a client may ask for.
    pub limits: Limits,
    /// How long a client may take.
    pub times: Times,
    /// Whether prompts are written to the log.
    pub log_prompts: bool,
}

impl Config {
    /// The service's settings where only its place and its folder are named.
    pub fn new(address: SocketAddr, data: PathBuf) -> Self {
        Self {
            address,
            data,
            hosts: Vec::new(),
            origins: Vec::new(),
            limits: Limits::default(),
            times: Times::default(),
            log_prompts: false,
        }
    }

    /// Whether others than this machine can reach it.
    pub fn is_exposed(&self) -> bool {
        !self.address.ip().is_loopback() || !self.hosts.is_empty()
    }
}

/// What a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest picture file, in bytes.
    pub picture_bytes: u64,
    /// Most pixels of a picture, width times height.
    pub pixels: u64,
    /// Most memory to decode one picture in, in bytes.
    pub decode_memory: u64,
    /// Longest JSON document, in bytes.
    pub json_bytes: u64,
    /// Costly requests (uploads, conversions, advice) of one key at a time.
    pub at_once: usize,
    /// Open streams of events of one key.
    pub streams: usize,
    /// Open connections.
    pub connections: usize,
}

impl Default for Limits {
    /// 10 MiB, 50 megapixels, 512 MiB, 256 KiB; 8 costly requests, 64 streams, 1024 connections.
    fn default() -> Self {
        Self {
            picture_bytes: 10 << 20,
            pixels: 50_000_000,
            decode_memory: 512 << 20,
            json_bytes: 256 << 10,
            at_once: 8,
            streams: 64,
            connections: 1024,
        }
    }
}

impl Limits {
    /// Room for what stands around a picture in a body: names, boundaries.
    const AROUND: u64 = 64 << 10;

    /// Longest body of any request, in bytes: a picture, or the same in base64, and what stands around it.
    pub fn body_bytes(&self) -> u64 {
        let base64 = self.picture_bytes.div_ceil(3).saturating_mul(4);
        base64.saturating_add(Self::AROUND).max(self.json_bytes)
    }

    /// What a file may ask for when it is decoded.
    pub fn decoding(&self) -> imagegen_picture::Limits {
        imagegen_picture::Limits {
            bytes: self.picture_bytes,
            pixels: self.pixels,
            memory: self.decode_memory,
        }
    }
}

/// How long a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// For the head of a request, and between two requests on one connection.
    pub head: Duration,
    /// Between two pieces of a body.
    pub pause: Duration,
    /// For a whole body.
    pub body: Duration,
    /// For throwing away what a refused request still sends.
    pub drain: Duration,
    /// Between two signs of life on a stream of events.
    pub heartbeat: Duration,
    /// For what is under way when the service is told to end.
    pub end: Duration,
}

impl Default for Times {
    /// 15 s for heads, 15 s between pieces, 2 minutes for a body, 10 s to drain, a heartbeat every 15 s, 20 s
    /// to end.
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            pause: Duration::from_secs(15),
            body: Duration::from_secs(120),
            drain: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            end: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_a_picture_in_base64() {
        let limits = Limits::default();
        assert!(limits.body_bytes() > limits.picture_bytes * 4 / 3);
        assert!(limits.body_bytes() < limits.picture_bytes * 3 / 2);
    }

    #[test]
    fn only_this_machine_is_not_exposed() {
        let config = |address: &str| Config::new(address.parse().unwrap(), PathBuf::new());
        assert!(!config("127.0.0.1:1").is_exposed());
        assert!(!config("[::1]:1").is_exposed());
        assert!(config("0.0.0.0:1").is_exposed());
        assert!(config("192.168.1.2:1").is_exposed());
        let mut behind = config("127.0.0.1:1");
        behind.hosts.push("pictures.example".to_owned());
        assert!(behind.is_exposed());
    }
}
