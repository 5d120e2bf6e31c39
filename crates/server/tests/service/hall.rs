//! A service of its own for every test, on a free port of this machine, and pictures made by formulas.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use imagegen::{Cpu, Level, ModelSource};
use imagegen_picture::{Format, Metadata, Picture, Size, encode};
use imagegen_server::{Config, JobLimits, Jobs, JobsError, Offer, Server, open_jobs};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest time that anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running service.
pub(crate) struct Hall {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) end: watch::Sender<bool>,
    running: JoinHandle<()>,
    folder: TempDir,
}

/// An order with more fields.
pub(crate) fn with(mut order: Value, more: &Value) -> Value {
    let fields = order.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    order
}

/// The jobs in a folder, on the starter.
pub(crate) fn jobs(config: &Config, limits: JobLimits) -> Jobs {
    jobs_of(config, limits, || vec![ModelSource::Starter.into()].into())
}

/// The jobs in a folder, on what `offer` gives.
pub(crate) fn jobs_of(config: &Config, limits: JobLimits, offer: impl Fn() -> Offer) -> Jobs {
    let cpu = Cpu {
        level: Level::best(),
        threads: 2,
    };
    let since = Instant::now();
    loop {
        match open_jobs(config, limits, cpu, offer()) {
            // The last connection of a service before may be about to go.
            Err(JobsError::InUse { .. }) if since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return opened.unwrap(),
        }
    }
}

/// Settings for a free port.
pub(crate) fn config(folder: &Path) -> Config {
    Config::new("127.0.0.1:0".parse().unwrap(), folder.to_owned())
}

impl Hall {
    /// A service with everything as it comes.
    pub(crate) async fn open() -> Self {
        Self::with(|_, _| {}).await
    }

    /// A service with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Config, &mut JobLimits)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), change).await
    }

    /// A service on a folder that is there.
    pub(crate) async fn on(
        folder: TempDir,
        change: impl FnOnce(&mut Config, &mut JobLimits),
    ) -> Self {
        let mut config = config(folder.path());
        let mut limits = JobLimits::default();
        change(&mut config, &mut limits);
        let jobs = jobs(&config, limits);
        Self::serving(folder, config, jobs).await
    }

    /// A service on other models, LoRAs and embeddings than the starter alone.
    pub(crate) async fn offering(offer: impl Fn() -> Offer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let jobs = jobs_of(&config, JobLimits::default(), offer);
        Self::serving(folder, config, jobs).await
    }

    async fn serving(folder: TempDir, config: Config, jobs: Jobs) -> Self {
        let server = Server::bind(config, jobs).await.unwrap();
        let (address, end) = (server.address(), server.ender());
        Self {
            address,
            client: Client::builder().timeout(PATIENCE).build().unwrap(),
            end,
            running: tokio::spawn(server.run()),
            folder,
        }
    }

    /// Ends the service in order and gives its folder back.
    pub(crate) async fn close(self) -> TempDir {
        self.end.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .unwrap()
            .unwrap();
        self.folder
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn api(&self, path: &str) -> String {
        self.url(&format!("/api/v1{path}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.api(path)).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self.client.post(self.api(path)).json(body);
        request.send().await.unwrap()
    }

    pub(crate) async fn upload(&self, path: &str, bytes: Vec<u8>) -> Response {
        let request = self.client.post(self.api(path)).body(bytes);
        request.send().await.unwrap()
    }

    /// Puts a small picture. Gives its hash.
    pub(crate) async fn put(&self, name: &str) -> String {
        let path = format!("/sources?name={name}");
        let answer = self.upload(&path, painted(80, 64, 30)).await;
        text(&json_of(answer, 201).await["sha256"])
    }

    /// Orders something. Gives the job's name.
    pub(crate) async fn order(&self, path: &str, body: &Value) -> String {
        text(&json_of(self.post(path, body).await, 202).await["id"])
    }

    /// An order that takes long: of a thousand steps.
    pub(crate) async fn order_long(&self, source: &str) -> Response {
        let body = json!({"source": source, "prompt": "winter", "strength": 1, "steps": 1000});
        self.post("/transforms", &body).await
    }

    /// Follows a job to its end. Gives its events: names and data.
    pub(crate) async fn follow(&self, id: &str) -> Vec<(String, Value)> {
        let answer = self.get(&format!("/jobs/{id}/events")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        events(&answer.text().await.unwrap())
    }

    /// Sends bytes as they are over one connection. Gives everything that comes back.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        read.unwrap().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// The events of a finished stream, without heartbeats.
pub(crate) fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text
        .split("\n\n")
        .filter(|block| block.starts_with("event:"));
    blocks
        .map(|block| {
            let (name, data) = block.split_once('\n').unwrap();
            let name = name.trim_start_matches("event:").trim();
            let data = data.trim_start_matches("data:").trim();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        })
        .collect()
}

/// The document of an answer that has to have this status.
#[track_caller]
pub(crate) fn json_of(answer: Response, status: u16) -> impl Future<Output = Value> {
    let caller = std::panic::Location::caller();
    async move {
        let got = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(got, status, "{caller}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{caller}: {error}: {text}"))
    }
}

/// Code and field of an answer that has to be a refusal with this status.
#[track_caller]
pub(crate) fn refusal(
    answer: Response,
    status: u16,
) -> impl Future<Output = (String, Option<String>)> {
    let body = json_of(answer, status);
    async move {
        let error = body.await["error"].clone();
        assert!(!text(&error["message"]).is_empty());
        (
            text(&error["code"]),
            error["field"].as_str().map(str::to_owned),
        )
    }
}

#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A picture of bands as PNG, without a word about its making.
pub(crate) fn painted(width: u32, height: u32, tone: u8) -> Vec<u8> {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            rgb.extend([tone, (x * 3 % 251) as u8, (y * 5 % 241) as u8]);
        }
    }
    let picture = Picture::new(Size::new(width, height), rgb, None).unwrap();
    encode(&picture, Format::Png, &Metadata::default())
        .unwrap()
        .bytes
}
