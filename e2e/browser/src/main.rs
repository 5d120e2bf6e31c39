//! Browser tests of the page, in Chromium: `imagegen-browser-tests BINARY [SCENARIO ...]`, run in the
//! repository's root.
//!
//! Each scenario has a service, a data folder and a browser profile of its own. Screenshots and logs are left in
//! `target/e2e/browser/`. Timings are printed. A busy machine is given more time by `PATIENCE=4`.

mod axe;
mod page;
mod proxy;
mod scenarios;
mod service;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::page::{Driver, Page, patience};
use crate::scenarios::{SCENARIOS, Scenario};
use crate::service::Service;

/// Longest time of a scenario, on a machine that does nothing else.
const MOST: Duration = Duration::from_secs(240);

/// Where a scenario takes place.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) service: Service,
    pub(crate) page: Page,
    /// A key of the service, where the scenario asked for one.
    pub(crate) secret: Option<String>,
    /// Folder for screenshots.
    pub(crate) out: PathBuf,
    /// Origins that the page may ask.
    pub(crate) origins: Vec<String>,
    /// Whether the browser may complain, since refusals or a dead service are part of the scenario.
    pub(crate) may_complain: bool,
}

impl Place {
    /// Writes what the window shows to `NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) -> Result<()> {
        let png = self.page.client.screenshot().await?;
        fs::write(self.out.join(format!("{name}.png")), png)?;
        Ok(())
    }

    /// Checks what holds for all scenarios: nothing was asked of other origins, the browser has no complaints.
    async fn check(&self) -> Result<()> {
        let own = |address: &String| {
            let ours = |origin: &String| {
                let rest = address.strip_prefix(origin);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
            };
            address.starts_with("data:")
                || address.starts_with("blob:")
                || address.starts_with("chrome:")
                || self.origins.iter().any(ours)
        };
        let asked = self.page.requests().await?;
        if asked.is_empty() {
            bail!("no request was seen, the check for other origins is blind");
        }
        let foreign: Vec<&String> = asked.iter().filter(|address| !own(address)).collect();
        if !foreign.is_empty() {
            bail!("requests left the service's origin: {foreign:?}");
        }
        let mut complaints = self.page.complaints().await?;
        // A preview is gone once its job is over, which may be while it is asked for.
        complaints.retain(|it| !it.contains("/preview?number="));
        if !self.may_complain && !complaints.is_empty() {
            bail!("the browser complains: {complaints:#?}");
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenarios. Gives how many failed.
async fn run() -> Result<usize> {
    let mut arguments = env::args().skip(1);
    let usage = "expected the path of the binary, then names of scenarios";
    let binary = PathBuf::from(arguments.next().context(usage)?);
    let names: Vec<String> = arguments.collect();
    if let Some(name) = names
        .iter()
        .find(|name| SCENARIOS.iter().all(|it| it.name != **name))
    {
        bail!("there is no scenario {name:?}");
    }
    let binary = binary
        .canonicalize()
        .with_context(|| binary.display().to_string())?;
    let driver = Driver::start().await?;
    let (mut passed, mut failed) = (0, 0);
    for scenario in SCENARIOS {
        if !names.is_empty() && names.iter().all(|name| name != scenario.name) {
            continue;
        }
        let start = Instant::now();
        let outcome = play(scenario, &binary, &driver).await;
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("{} ... ok ({seconds:.1} s)", scenario.name);
            }
            Err(error) => {
                failed += 1;
                println!(
                    "{} ... FAILED ({seconds:.1} s)\n    {error:#}",
                    scenario.name
                );
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if passed + failed == 0 {
        bail!("no scenario ran");
    }
    Ok(failed)
}

async fn play(scenario: &Scenario, binary: &Path, driver: &Driver) -> Result<()> {
    let out = PathBuf::from("target/e2e/browser");
    fs::create_dir_all(&out)?;
    let folder = out.join("services").join(scenario.name);
    let keys: &[&str] = if scenario.with_key { &["tests"] } else { &[] };
    let (service, mut secrets) = Service::start(binary, folder, keys).await?;
    let page = Page::open(driver, is_root()?).await?;
    let mut place = Place {
        origins: vec![service.origin.clone()],
        service,
        page,
        secret: secrets.pop(),
        out,
        may_complain: false,
    };
    place
        .page
        .client
        .goto(&format!("{}/", place.service.origin))
        .await?;
    let mut outcome =
        match tokio::time::timeout(MOST * patience(), (scenario.play)(&mut place)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!(
                "not done after {} s",
                (MOST * patience()).as_secs()
            )),
        };
    if outcome.is_ok() {
        outcome = place.check().await;
    }
    if outcome.is_err() {
        let name = format!("failed-{}", scenario.name);
        if let Err(error) = place.screenshot(&name).await {
            eprintln!("cannot take a screenshot: {error:#}");
        }
    }
    place.page.client.clone().close().await?;
    place.service.kill().await?;
    outcome
}

fn is_root() -> Result<bool> {
    let id = Command::new("id")
        .arg("-u")
        .output()
        .context("cannot run id")?;
    Ok(id.stdout.trim_ascii() == b"0")
}
