//! Jobs and their history. Everyone sees their own alone.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use imagegen_jobs::{Job, JobId, KindName, Search, State as JobState};
use serde::Deserialize;
use utoipa::IntoParams;

use super::query::{Params, job_id, no_job, wrong};
use crate::app::{App, blocking};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::wire::{JobBody, PageBody};

/// Jobs of a page where no number is named.
const PAGE: usize = 30;
/// Most jobs of a page.
const MOST: usize = 100;

impl App {
    /// A job of the caller's.
    ///
    /// Fails with 404 for one that is not there and one that is somebody else's.
    pub(super) async fn own_job(&self, caller: &Caller, id: &str) -> Result<Job, ApiError> {
        let name = job_id(id)?;
        let jobs = self.jobs.clone();
        let job = blocking(move || jobs.job(&name)).await?;
        job.filter(|job| job.owner == caller.owner)
            .ok_or_else(|| no_job(id))
    }

    /// Does something to a job of the caller's.
    async fn to_own_job<T: Send + 'static>(
        &self,
        caller: &Caller,
        id: &str,
        work: impl FnOnce(&imagegen_jobs::Jobs, &JobId) -> Result<T, imagegen_jobs::Error>
        + Send
        + 'static,
    ) -> Result<T, ApiError> {
        let job = self.own_job(caller, id).await?;
        let jobs = self.jobs.clone();
        blocking(move || work(&jobs, &job.id)).await
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Words that prompt, negative prompt and source's name together hold.
    search: Option<String>,
    /// Favourites only.
    #[serde(default)]
    favourites: bool,
    /// Jobs in this state.
    #[param(example = "done")]
    state: Option<String>,
    /// Jobs of this kind.
    #[param(example = "transform")]
    kind: Option<String>,
    /// Jobs ordered before this one.
    before: Option<String>,
    /// Jobs of the page; 30 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

impl ListParams {
    fn search(self, owner: String) -> Result<Search, ApiError> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=MOST).contains(&limit) {
            return Err(wrong("limit", &limit.to_string(), "1 to 100"));
        }
        let state = |name: &String| {
            let found = JobState::ALL.into_iter().find(|state| state.name() == name);
            let names = "queued, running, done, failed or cancelled";
            found.ok_or_else(|| wrong("state", name, names))
        };
        let kind = |name: &String| {
            let found = KindName::ALL.into_iter().find(|kind| kind.name() == name);
            found.ok_or_else(|| {
                wrong(
                    "kind",
                    name,
                    "transform, generate, ladder, vary, inpaint or upscale",
                )
            })
        };
        let before = |id: &String| {
            let read = id.parse::<JobId>();
            read.map_err(|_| wrong("before", id, "the name of a job"))
        };
        Ok(Search {
            owner: Some(owner),
            favourites: self.favourites,
            kind: self.kind.as_ref().map(kind).transpose()?,
            state: self.state.as_ref().map(state).transpose()?,
            before: self.before.as_ref().map(before).transpose()?,
            text: self.search.filter(|text| !text.trim().is_empty()),
            limit,
        })
    }
}

/// Search the history
///
/// Latest first.
#[utoipa::path(
    get, path = "/jobs", tag = "jobs", operation_id = "list_jobs", params(ListParams),
    responses(
        (status = 200, description = "A page", body = PageBody),
        (status = 400, description = "The query is wrong", body = ErrorBody),
        (status = 401, description = "No key", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<ListParams>,
) -> Result<Json<PageBody>, ApiError> {
    let search = params.search(caller.owner)?;
    let jobs = app.jobs.clone();
    let page = blocking(move || jobs.history(&search)).await?;
    Ok(Json(PageBody {
        jobs: page.jobs.iter().map(JobBody::listed).collect(),
        next: page.next.map(|id| id.to_string()),
    }))
}

/// Get a job
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The job as it stands", body = JobBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<JobBody>, ApiError> {
    Ok(Json(JobBody::from(&app.own_job(&caller, &id).await?)))
}

/// Remove a job
///
/// Stops it where it is not over, and drops it with its pictures.
#[utoipa::path(
    delete, path = "/jobs/{id}", tag = "jobs", operation_id = "remove_job",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let removed = app
        .to_own_job(&caller, &id, |jobs, id| jobs.remove(id))
        .await?;
    if removed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_job(&id))
    }
}

/// Cancel a job
///
/// A waiting one at once, a running one after its step. Results made so far stay.
#[utoipa::path(
    post, path = "/jobs/{id}/cancel", tag = "jobs", operation_id = "cancel_job",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The job as it stands", body = JobBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<JobBody>, ApiError> {
    let job = app
        .to_own_job(&caller, &id, |jobs, id| jobs.cancel(id))
        .await?;
    Ok(Json(JobBody::from(&job.ok_or_else(|| no_job(&id))?)))
}

/// Make a job a favourite
///
/// It is kept whatever its age.
#[utoipa::path(
    put, path = "/jobs/{id}/favourite", tag = "jobs", operation_id = "favour_job",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The job as it stands", body = JobBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub(crate) async fn favour(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<JobBody>, ApiError> {
    mark(&app, &caller, &id, true).await
}

/// Make a job no favourite
#[utoipa::path(
    delete, path = "/jobs/{id}/favourite", tag = "jobs", operation_id = "unfavour_job",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The job as it stands", body = JobBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub(crate) async fn unfavour(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<JobBody>, ApiError> {
    mark(&app, &caller, &id, false).await
}

async fn mark(
    app: &App,
    caller: &Caller,
    id: &str,
    favourite: bool,
) -> Result<Json<JobBody>, ApiError> {
    let marked = app.to_own_job(caller, id, move |jobs, id| {
        jobs.set_favourite(id, favourite)
    });
    let job = marked.await?.ok_or_else(|| no_job(id))?;
    Ok(Json(JobBody::from(&job)))
}
