//! Changes of mind, reloads, power cuts, proxies, locked doors.

use anyhow::{Context, Result, ensure};

use crate::Place;
use crate::page::{key, pictures};
use crate::proxy::Proxy;

/// Orders eight pictures, which is long enough to interrupt. Gives the job once it runs.
async fn long_job(place: &Place) -> Result<String> {
    let page = &place.page;
    page.take_example("cat").await?;
    page.few_steps().await?;
    page.fill("prompt", "watercolour illustration").await?;
    page.select("count", "8").await?;
    page.click("generate").await?;
    page.job_at_work().await
}

/// A running job ends on demand, and the next one runs.
pub(crate) async fn cancel(place: &mut Place) -> Result<()> {
    let page = &place.page;
    let job = long_job(place).await?;
    page.click("cancel").await?;
    page.gone("progress", pictures()).await?;
    let stopped = page.get(&format!("jobs/{job}")).await?;
    ensure!(
        stopped["state"] == "cancelled",
        "the job is {}",
        stopped["state"]
    );
    let made = stopped["results"].as_array().map_or(0, Vec::len);
    ensure!(made < 8, "all pictures were made of a cancelled job");
    page.select("count", "1").await?;
    page.click("generate").await?;
    page.result_at(0.5).await
}

/// A reload in mid-job loses nothing.
pub(crate) async fn reload(place: &mut Place) -> Result<()> {
    let page = &place.page;
    let job = long_job(place).await?;
    page.client.refresh().await?;
    let again = page.job_at_work().await?;
    ensure!(
        again == job,
        "job {again} is shown after the reload, expected {job}"
    );
    let prompt = page
        .run("return document.querySelector('#prompt').value")
        .await?;
    ensure!(
        prompt == "watercolour illustration",
        "the prompt is {prompt} after the reload"
    );
    page.gone("progress", pictures()).await?;
    page.find("result-7").await?;
    let jobs = page.jobs().await?;
    let results = jobs[0]["results"].as_array().map_or(0, Vec::len);
    ensure!(
        jobs.len() == 1 && results == 8,
        "{} jobs, {results} pictures",
        jobs.len()
    );
    Ok(())
}

/// A service that dies in mid-job comes back with it, and the page goes on without a hand's turn.
pub(crate) async fn restart(place: &mut Place) -> Result<()> {
    place.may_complain = true; // of refused connections
    let job = long_job(place).await?;
    place.service.kill().await?;
    let told = "document.querySelector('[data-testid=connection]')?.innerText.trim()";
    place
        .page
        .until("word of the lost connection", pictures(), told)
        .await?;
    place.screenshot("connection").await?;
    place.service.start_again().await?;
    let page = &place.page;
    page.find_within("result-7", pictures()).await?;
    page.gone("progress", pictures()).await?;
    page.gone("connection", pictures()).await?;
    let jobs = page.jobs_when_over().await?;
    ensure!(jobs.len() == 1, "{} jobs after one order", jobs.len());
    let (state, attempts) = (&jobs[0]["state"], &jobs[0]["attempts"]);
    let right = jobs[0]["id"] == *job && state == "done" && attempts == 2;
    ensure!(right, "the job is {state} after {attempts} attempts");
    Ok(())
}

/// Everything works behind a proxy that shows the service under a path.
pub(crate) async fn prefix(place: &mut Place) -> Result<()> {
    let proxy = Proxy::start(place.service.address(), "/tools/studio").await?;
    // The page without a proxy is left, and what it asked for forgotten.
    place.page.client.goto("about:blank").await?;
    place.page.requests().await?;
    place.origins = vec![proxy.address.clone()]; // nothing else, neither above the prefix
    let page = &place.page;
    page.client.goto(&format!("{}/", proxy.address)).await?;
    page.take_example("cat").await?;
    page.few_steps().await?;
    page.drawn("source").await?;
    page.fill("prompt", "oil painting").await?;
    page.click("generate").await?;
    page.find("progress").await?;
    page.result_at(0.5).await?;
    page.click("ladder").await?;
    page.find_within("result-2", pictures()).await?;
    page.gone("progress", pictures()).await?;
    page.client.refresh().await?;
    page.drawn("ladder-result").await?;
    let docs = page
        .run_async("return (await fetch('api/v1/docs')).status")
        .await?;
    ensure!(
        docs == 200,
        "the viewer of the description answers with {docs}"
    );
    let strays = proxy.strays();
    ensure!(
        strays.is_empty(),
        "asked for outside of the prefix: {strays:?}"
    );
    Ok(())
}

/// A service with keys: a wrong one, the right one, out again.
pub(crate) async fn login(place: &mut Place) -> Result<()> {
    place.may_complain = true; // of answers with 401
    let secret = place.secret.clone().context("no key was made")?;
    let page = &place.page;
    page.find("login-key")
        .await?
        .send_keys("imagegen_wrong")
        .await?;
    page.click("login-submit").await?;
    let told = "document.querySelector('#login-problem')?.innerText.includes('not known')";
    page.until("a refusal", pictures(), told).await?;
    ensure!(page.has("login-key").await?, "a wrong key opens the page");
    crate::axe::check(page, "login").await?;
    place.screenshot("login").await?;
    page.find("login-key").await?.clear().await?;
    page.find("login-key")
        .await?
        .send_keys(&format!("{secret}{}", key::ENTER))
        .await?;
    page.take_example("cat").await?;
    page.few_steps().await?;
    page.fill("prompt", "oil painting").await?;
    page.click("generate").await?;
    page.result_at(0.5).await?;
    page.client.refresh().await?;
    page.result_at(0.5).await?;
    let script = page.run("return document.cookie").await?;
    ensure!(script == "", "scripts can read the cookie: {script}");
    page.click("sign-out").await?;
    page.find("login-key").await?;
    let status = page
        .run_async("return (await fetch('api/v1/jobs')).status")
        .await?;
    ensure!(
        status == 401,
        "the history answers with {status} after signing out"
    );
    Ok(())
}
