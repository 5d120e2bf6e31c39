//! What happens to a job, as a stream of events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use imagegen_jobs::{Event, Job, JobId, State as JobState};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{broadcast, watch};

use crate::app::{App, blocking};
use crate::auth::{self, Caller};
use crate::error::{ApiError, ErrorBody};
use crate::gate::Pass;
use crate::wire::{EventBody, JobBody, QueuedBody, StepBody};

/// Follow a job
///
/// A stream of events (`text/event-stream`): first `job` with the whole job, then `queued {position, estimate_s}`,
/// `job` when it begins, `step {picture, pictures, step, steps, sigma, seconds, left_s}`, `preview {number}`,
/// `result {index}`; last `done`, `failed` or `cancelled` with the whole job, `shutdown {}` when the service ends, or
/// `refused {error}` when the key that let its client in does so no more. Whoever connects again
/// gets the first event again.
#[utoipa::path(
    get, path = "/jobs/{id}/events", tag = "jobs", operation_id = "follow_job",
    params(("id" = String, Path, description = "The job's name")),
    responses(
        (status = 200, description = "The stream", body = EventBody, content_type = "text/event-stream"),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
        (status = 429, description = "Too many streams", body = ErrorBody),
    )
)]
pub(crate) async fn follow(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    // Heard before the job is read, so that nothing between the two is lost.
    let events = app.jobs.subscribe();
    let job = app.own_job(&caller, &id).await?;
    let Some(pass) = app.streams.enter(&caller.owner) else {
        let most = app.config.limits.streams;
        let message = format!("{most} of your streams are open already, expected less");
        return Err(ApiError::busy("too_many_streams", message, 5));
    };
    let beat = KeepAlive::new().interval(app.config.times.heartbeat);
    let client = Client {
        caller,
        headers,
        _pass: pass,
    };
    let following = Following::new(&app, job, events, client);
    let events = stream::unfold(following, |mut following| async {
        let event = following.next().await?;
        Some((Ok::<_, Infallible>(event), following))
    });
    let sse = axum::response::Sse::new(events).keep_alive(beat);
    // A proxy that gathers answers would hold events back.
    let direct = (HeaderName::from_static("x-accel-buffering"), "no");
    Ok(([direct, (header::CACHE_CONTROL, "no-store")], sse).into_response())
}

/// How often a silent stream looks whether its client may still be there.
const LOOK: Duration = Duration::from_secs(1);

/// Who follows, and by what right.
struct Client {
    caller: Caller,
    /// Those that let the caller in.
    headers: HeaderMap,
    _pass: Pass,
}

impl Client {
    /// Whether what let the caller in still does.
    fn may_stay(&self, app: &App) -> bool {
        // Where that cannot be told the next request will say why.
        let caller = app.caller(&self.headers).ok().flatten();
        caller.as_ref() == Some(&self.caller)
    }
}

/// One client that follows one job.
struct Following {
    app: Arc<App>,
    id: JobId,
    client: Client,
    events: broadcast::Receiver<Event>,
    ending: watch::Receiver<bool>,
    /// What is still to be said.
    waiting: VecDeque<Sse>,
    over: bool,
}

enum Heard {
    Event(Result<Event, broadcast::error::RecvError>),
    End,
    Nothing,
}

/// Ends when the service does.
async fn told(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|ending| *ending).await; // whoever could tell is gone: that is an end too
}

fn event(name: &str, body: &impl Serialize) -> Sse {
    let text = serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned());
    Sse::default().event(name).data(text)
}

impl Following {
    fn new(app: &Arc<App>, job: Job, events: broadcast::Receiver<Event>, client: Client) -> Self {
        let mut following = Self {
            app: Arc::clone(app),
            id: job.id,
            client,
            events,
            ending: app.ending.clone(),
            waiting: VecDeque::new(),
            over: false,
        };
        following
            .waiting
            .push_back(event("job", &JobBody::from(&job)));
        if job.state.is_over() {
            following.say_state(&job);
        }
        following
    }

    /// What is to be said next; `None` at the end.
    async fn next(&mut self) -> Option<Sse> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            let heard = tokio::select! {
                biased;
                heard = self.events.recv() => Heard::Event(heard),
                _ = told(&mut self.ending) => Heard::End,
                _ = tokio::time::sleep(LOOK) => Heard::Nothing,
            };
            if !self.client.may_stay(&self.app) {
                self.refuse();
                continue;
            }
            match heard {
                Heard::Event(heard) => self.hear(heard).await,
                Heard::End => self.end(),
                Heard::Nothing => {}
            }
        }
    }

    async fn hear(&mut self, heard: Result<Event, broadcast::error::RecvError>) {
        match heard {
            Ok(Event::Shutdown) | Err(broadcast::error::RecvError::Closed) => self.end(),
            // Too much was missed to make up for: the job tells where it stands.
            Err(broadcast::error::RecvError::Lagged(_)) => self.look().await,
            Ok(event) if event.job() == Some(self.id) => self.say(event),
            Ok(_) => {}
        }
    }

    fn say(&mut self, heard: Event) {
        match heard {
            Event::Changed(job) => self.say_state(&job),
            Event::Step(step) => self.waiting.push_back(event("step", &StepBody::from(step))),
            Event::Preview { number, .. } => {
                self.waiting
                    .push_back(event("preview", &json!({"number": number})));
            }
            Event::Result { index, .. } => {
                self.waiting
                    .push_back(event("result", &json!({"index": index})));
            }
            Event::Shutdown => self.end(),
        }
    }

    fn say_state(&mut self, job: &Job) {
        let said = match job.state {
            JobState::Queued => event("queued", &QueuedBody::from(job)),
            JobState::Running => event("job", &JobBody::from(job)),
            over => {
                self.over = true;
                event(over.name(), &JobBody::from(job))
            }
        };
        self.waiting.push_back(said);
    }

    async fn look(&mut self) {
        let (jobs, id) = (self.app.jobs.clone(), self.id);
        match blocking(move || jobs.job(&id)).await {
            Ok(Some(job)) if job.state.is_over() => self.say_state(&job),
            Ok(Some(job)) => self.waiting.push_back(event("job", &JobBody::from(&job))),
            Ok(None) | Err(_) => self.over = true,
        }
    }

    fn refuse(&mut self) {
        self.over = true;
        let refusal = ErrorBody::from(auth::stranger());
        self.waiting.push_back(event("refused", &refusal));
    }

    fn end(&mut self) {
        self.over = true;
        self.waiting.push_back(event("shutdown", &json!({})));
    }
}
