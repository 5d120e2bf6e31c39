//! What people do, step by step.

mod looks;
mod painting;
mod results;
mod sources;
mod trouble;
mod tutorial;

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::Place;
use crate::page::{Page, pictures};

type Playing<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A scenario by name.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Whether the service demands a key.
    pub(crate) with_key: bool,
    pub(crate) play: for<'a> fn(&'a mut Place) -> Playing<'a>,
}

macro_rules! scenarios {
    ($($folder:ident::$name:ident with_key $with_key:literal,)*) => {
        &[$(Scenario {
            name: stringify!($name),
            with_key: $with_key,
            play: |place| Box::pin($folder::$name(place)),
        },)*]
    };
}

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = scenarios![
    tutorial::tutorial with_key false,
    tutorial::keyboard with_key false,
    sources::refused with_key false,
    sources::text_to_image with_key false,
    sources::recall with_key false,
    results::ladder with_key false,
    results::variations with_key false,
    results::choices with_key false,
    results::history with_key false,
    painting::repaint with_key false,
    painting::repaint_small with_key false,
    trouble::cancel with_key false,
    trouble::reload with_key false,
    trouble::restart with_key false,
    trouble::prefix with_key false,
    trouble::login with_key true,
    looks::looks with_key false,
];

impl Page {
    /// Takes one of the examples as the source.
    async fn take_example(&self, id: &str) -> Result<()> {
        self.click(&format!("example-{id}")).await?;
        self.find("source").await?;
        Ok(())
    }

    /// Waits for a single result at a strength, drawn.
    async fn result_at(&self, strength: f64) -> Result<()> {
        let expression = format!(
            "document.querySelector('[data-testid=result]')?.innerText.includes('Strength {strength} ')"
        );
        self.until(&format!("a result at {strength}"), pictures(), &expression)
            .await?;
        self.drawn("result").await
    }

    /// Opens the advanced settings and asks for few steps: pictures are not what is looked at.
    async fn few_steps(&self) -> Result<()> {
        self.find("advanced").await?;
        self.run("document.querySelector('[data-testid=advanced]').open = true")
            .await?;
        self.fill("steps", "4").await
    }

    /// Chooses in one of the selections.
    async fn select(&self, name: &str, value: &str) -> Result<()> {
        self.find(name).await?.select_by_value(value).await?;
        Ok(())
    }

    /// Waits until a job runs that has made a step, and gives its name.
    async fn job_at_work(&self) -> Result<String> {
        self.find("progress").await?;
        let moves = "Number(document.querySelector('[data-testid=progress]')?.ariaValueNow) > 0";
        self.until("a step", pictures(), moves).await?;
        let jobs = self.jobs().await?;
        let running = jobs.iter().find(|job| job["state"] == "running");
        let job = running.and_then(|job| job["id"].as_str());
        ensure!(job.is_some(), "no job runs while its progress is shown");
        Ok(job.unwrap_or_default().to_owned())
    }

    /// Waits until no job waits or runs, and gives all.
    async fn jobs_when_over(&self) -> Result<Vec<Value>> {
        let end = tokio::time::Instant::now() + pictures();
        loop {
            let jobs = self.jobs().await?;
            let over = |job: &Value| job["state"] != "queued" && job["state"] != "running";
            if jobs.iter().all(over) {
                return Ok(jobs);
            }
            ensure!(
                tokio::time::Instant::now() < end,
                "jobs do not end: {jobs:#?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
