//! The listener: connections in, an orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use imagegen::Cpu;
use imagegen_jobs::{Error as JobsError, Jobs, Limits as JobLimits, Offer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use crate::app::{self, App};
use crate::config::Config;
use crate::keys::{Keys, KeysError};

/// Longest head of a request, in bytes.
const HEAD: usize = 64 << 10;
/// Threads for work that blocks; what is more waits.
const BLOCKING: usize = 32;
/// Pause after a connection that could not be taken, such as for want of file handles.
const BREATH: Duration = Duration::from_millis(100);

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Others could reach the service and nobody would have to show a key.
    #[error("{reached} can be reached by others and there is no key, expected at least one")]
    NoKey {
        /// The address or the name.
        reached: String,
    },
    /// Nobody could get in; without a key anyone on this machine could, which revoking was not meant to bring.
    #[error("every key in {path} was revoked, expected at least one")]
    AllRevoked {
        /// The file of the keys.
        path: PathBuf,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The runtime could not be started.
    #[error("cannot start threads: {0}")]
    Runtime(io::Error),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A host name that is none.
    #[error("host is {got:?}, expected a name without scheme, port and path")]
    Host {
        /// What came.
        got: String,
    },
    /// An origin that is none.
    #[error("origin is {got:?}, expected a scheme and a host such as https://example.org")]
    Origin {
        /// What came.
        got: String,
    },
}

/// The service, bound to its address and not yet answering.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    end: watch::Sender<bool>,
}

/// Opens the jobs in the data folder of `config`. Whatever computes there gives way to threads that answer,
/// where the system lets us say so.
///
/// Fails as [`Jobs::open`].
pub fn open_jobs(
    config: &Config,
    limits: JobLimits,
    cpu: Cpu,
    offer: impl Into<Offer>,
) -> Result<Jobs, JobsError> {
    let offer = offer.into();
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| {
            give_way();
            Jobs::open(&config.data, limits, cpu, offer)
        });
        opened
            .join()
            .unwrap_or_else(|cause| std::panic::resume_unwind(cause))
    })
}

/// Lowers the priority of this thread and of those it will start.
fn give_way() {
    // Linux keeps a priority for each thread. Failing costs quickness, nothing else.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "cannot lower the priority of computing threads");
    }
}

/// Answers until SIGINT or SIGTERM, then ends in order; a second signal ends at once. `ready` hears of the
/// address once it is bound.
///
/// Fails with [`ServeError`] before anything is answered.
pub fn serve(config: Config, jobs: Jobs, ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .thread_name("server")
        .build()
        .map_err(ServeError::Runtime)?;
    let done = runtime.block_on(async {
        let server = Server::bind(config, jobs).await?;
        ready(server.address());
        let end = server.ender();
        tokio::spawn(async move {
            signal().await;
            tracing::info!("ending, a second signal ends at once");
            let _ = end.send(true); // nobody listens where the server has ended by itself
            signal().await;
            imagegen::files::abandon_unfinished();
            std::process::exit(130);
        });
        server.run().await;
        Ok(())
    });
    // What still hangs on a slow client is not waited for.
    runtime.shutdown_background();
    done
}

/// Waits for SIGINT or, where there is one, SIGTERM.
async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupt, terminate) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        );
        if let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await; // no signals: only the other ways to end are left
    }
}

/// Checks settings, before anything is opened.
///
/// Fails with [`ServeError`].
pub fn check(config: &Config) -> Result<(), ServeError> {
    check_with(config, &Keys::open(&config.data)?)?;
    Ok(())
}

/// Checks settings. Gives whether there are keys.
fn check_with(config: &Config, keys: &Keys) -> Result<bool, ServeError> {
    for host in &config.hosts {
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
        if host.is_empty() || host.contains(odd) {
            return Err(ServeError::Host { got: host.clone() });
        }
    }
    for origin in &config.origins {
        let host = origin
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.:[]".contains(c));
        if host.is_none_or(|(_, host)| host.is_empty() || host.contains(odd)) {
            return Err(ServeError::Origin {
                got: origin.clone(),
            });
        }
    }
    let keyed = !keys.list()?.is_empty();
    if config.is_exposed() && !keyed {
        let address = config.address.to_string();
        let reached = config.hosts.first().cloned().unwrap_or(address);
        return Err(ServeError::NoKey { reached });
    }
    if let Some(path) = keys.emptied()? {
        return Err(ServeError::AllRevoked { path });
    }
    Ok(keyed)
}

impl Server {
    /// Checks the settings and takes the address.
    ///
    /// Fails with [`ServeError`].
    pub async fn bind(config: Config, jobs: Jobs) -> Result<Self, ServeError> {
        let keys = Keys::open(&config.data)?;
        let keyed = check_with(&config, &keys)?;
        let failed = |source| ServeError::Listen {
            address: config.address,
            source,
        };
        let listener = TcpListener::bind(config.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (end, ending) = watch::channel(false);
        Ok(Self {
            app: Arc::new(App::new(config, jobs, keys, keyed, ending)),
            listener,
            address,
            end,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells the service to end when it is sent `true`.
    pub fn ender(&self) -> watch::Sender<bool> {
        self.end.clone()
    }

    /// The service without its listener.
    pub fn router(&self) -> Router {
        app::router(Arc::clone(&self.app))
    }

    /// Answers until it is told to end. Then no connection is taken any more, streams of events end, the running
    /// job goes back into the queue, and what is under way may finish for a while.
    pub async fn run(self) {
        let router = self.router();
        let Self {
            app, listener, end, ..
        } = self;
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(app.config.limits.connections));
        let mut ending = end.subscribe();
        loop {
            let accepted = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, stream) = tokio::select! {
                _ = ending.wait_for(|ending| *ending) => break,
                accepted = accepted => accepted,
            };
            match stream {
                Ok((stream, _)) => {
                    let connection = connection(stream, router.clone(), &app.config, &graceful);
                    tokio::spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(listener);
        let (jobs, wait) = (app.jobs.clone(), app.config.times.end);
        let jobs = tokio::task::spawn_blocking(move || jobs.shutdown(wait));
        if tokio::time::timeout(wait, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("ended with requests under way");
        }
        if let Err(error) = jobs.await {
            tracing::error!(%error, "failed to end the jobs");
        }
        tracing::info!("ended");
    }
}

/// One connection, from its first request to its last.
fn connection(
    stream: TcpStream,
    router: Router,
    config: &Config,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    // Events are small and wait for nothing.
    let _ = stream.set_nodelay(true); // slower, where it cannot be had
    let service = router.map_request(|request: Request<Incoming>| request.map(Body::new));
    let service = service.map_err(|never: Infallible| match never {});
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.times.head)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let watched = graceful.watch(connection);
    async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "lost a connection");
        }
    }
}
