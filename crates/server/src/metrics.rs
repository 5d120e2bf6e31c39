//! Figures for Prometheus.

use std::fmt;
use std::sync::Arc;

use axum::http::StatusCode;
use imagegen_jobs::{Counters, Jobs, State};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper ends of the classes of time, in seconds.
const SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    answers: Family<Answer, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    pub(crate) fn new(jobs: Jobs) -> Self {
        let answers = Family::default();
        let times = Family::<_, _, fn() -> Histogram>::new_with_constructor(seconds);
        let mut registry = Registry::with_prefix("imagegen");
        registry.register(
            "http_requests",
            "Requests answered, by method, route and status",
            answers.clone(),
        );
        registry.register_with_unit(
            "http_request",
            "Time from a request's head to its answer's",
            Unit::Seconds,
            times.clone(),
        );
        registry.register_collector(Box::new(OfJobs(jobs)));
        Self {
            registry: Arc::new(registry),
            answers,
            seconds: times,
        }
    }

    /// Counts a request.
    pub(crate) fn request(
        &self,
        method: &'static str,
        route: &str,
        status: StatusCode,
        seconds: f64,
    ) {
        let route = route.to_owned();
        let answer = Answer {
            method,
            route: route.clone(),
            status: status.as_u16(),
        };
        self.answers.get_or_create(&answer).inc();
        self.seconds
            .get_or_create(&Route { route })
            .observe(seconds);
    }

    /// All figures as text. Asks the jobs, which blocks.
    pub(crate) fn text(registry: &Registry) -> Result<String, fmt::Error> {
        let mut words = String::new();
        text::encode(&mut words, registry)?;
        Ok(words)
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }
}

/// Figures that are kept by the jobs themselves, asked for at each look.
#[derive(Debug)]
struct OfJobs(Jobs);

impl Collector for OfJobs {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counters = match self.0.counters() {
            Ok(counters) => counters,
            Err(error) => {
                tracing::error!(%error, "failed to count jobs");
                return Ok(());
            }
        };
        by_state(&mut encoder, &counters)?;
        let mut count = |name: &str, help: &str, value: u64| {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
        };
        count(
            "jobs_submitted",
            "Jobs ordered since the start",
            counters.submitted,
        )?;
        count(
            "steps",
            "Denoising steps run since the start",
            counters.steps,
        )?;
        count("results", "Pictures made since the start", counters.results)?;
        let metric = ConstCounter::new(counters.step_seconds);
        let unit = Some(&Unit::Seconds);
        let help = "Time that denoising steps took since the start";
        metric.encode(encoder.encode_descriptor("step", help, unit, MetricType::Counter)?)?;
        let stored = ConstGauge::new(i64::try_from(counters.stored_bytes).unwrap_or(i64::MAX));
        let help = "Sources and results that are stored";
        let unit = Some(&Unit::Bytes);
        stored.encode(encoder.encode_descriptor("stored", help, unit, MetricType::Gauge)?)
    }
}

fn by_state(encoder: &mut DescriptorEncoder, counters: &Counters) -> fmt::Result {
    let mut jobs =
        encoder.encode_descriptor("jobs", "Jobs stored, by state", None, MetricType::Gauge)?;
    for (state, count) in State::ALL.iter().zip(counters.jobs) {
        let labels = [("state", state.name())];
        let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
        gauge.encode(jobs.encode_family(&labels)?)?;
    }
    let help = "Jobs that came to an end since the start, by how";
    let mut ended = encoder.encode_descriptor("jobs_finished", help, None, MetricType::Counter)?;
    let states = [State::Done, State::Failed, State::Cancelled];
    for (state, count) in states.iter().zip(counters.finished) {
        let labels = [("state", state.name())];
        ConstCounter::new(count).encode(ended.encode_family(&labels)?)?;
    }
    Ok(())
}
