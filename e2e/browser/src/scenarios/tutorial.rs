//! From a photograph to pictures, by mouse and by keyboard.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::Place;
use crate::page::{key, patience};

/// What the page promises for three results, on a machine that does nothing else.
const MINUTE: u64 = 60;

/// Choose, upload, write, set the strength, generate and look, try again at two other strengths.
pub(crate) async fn tutorial(place: &mut Place) -> Result<()> {
    let page = &place.page;
    let start = Instant::now();
    let photo = Path::new("examples/landscape.jpg");
    page.choose("source-input", photo).await?;
    page.drawn("source").await?;
    page.find("advice").await?;
    page.fill("prompt", "oil painting, impressionist style")
        .await?;
    page.fill("strength-number", "0.5").await?;
    let text = page.text("strength-text").await?;
    ensure!(
        text.contains("Best for"),
        "the text under the strength is {text:?}"
    );
    page.click("generate").await?;
    page.find("progress").await?;
    page.result_at(0.5).await?;
    println!(
        "    first result after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    page.find("before-after").await?;
    page.find("fidelity").await?;
    page.click("more-faithful").await?;
    page.result_at(0.35).await?;
    page.fill("strength-number", "0.65").await?;
    page.click("generate").await?;
    page.result_at(0.65).await?;
    let taken = start.elapsed();
    println!("    three results after {:.1} s", taken.as_secs_f64());
    place.screenshot("tutorial").await?;
    fidelity_falls(place).await?;
    downloads(place).await?;
    let most = MINUTE * u64::from(patience());
    ensure!(
        taken.as_secs() < most,
        "took {} s, expected less than {most} s",
        taken.as_secs()
    );
    Ok(())
}

/// The further from the source, the less alike.
async fn fidelity_falls(place: &Place) -> Result<()> {
    let jobs = place.page.jobs().await?;
    ensure!(jobs.len() == 3, "{} jobs were made of 3 orders", jobs.len());
    let of = |strength: f64| {
        let job = jobs
            .iter()
            .find(|job| job["results"][0]["strength"] == strength);
        job.and_then(|job| job["results"][0]["fidelity"]["overall"].as_f64())
    };
    let all = [of(0.35), of(0.5), of(0.65)];
    let falls = all.is_sorted_by(|a, b| a.is_some() && a > b);
    ensure!(
        falls && all[2].is_some(),
        "fidelity at 0.35, 0.5 and 0.65 is {all:?}"
    );
    Ok(())
}

/// The result as a file in each format.
async fn downloads(place: &Place) -> Result<()> {
    let page = &place.page;
    page.click("download").await?;
    for (format, start) in [
        ("png", "89504e47"),
        ("jpeg", "ffd8ff"),
        ("webp", "52494646"),
    ] {
        page.find(&format!("download-{format}")).await?;
        let got = page
            .run_async(&format!(
                "const link = document.querySelector('[data-testid=download-{format}]');
                 const answer = await fetch(link.href);
                 const bytes = new Uint8Array(await answer.arrayBuffer());
                 const start = [...bytes.slice(0, 4)].map((it) => it.toString(16).padStart(2, '0')).join('');
                 const kept = answer.headers.get('content-disposition') ?? '';
                 return `${{answer.status}} ${{answer.headers.get('content-type')}} ${{kept}} ${{start}}`;"
            ))
            .await?;
        let got = got.as_str().unwrap_or_default();
        let media = format!("200 image/{format} attachment");
        let right = got.starts_with(&media)
            && got
                .rsplit(' ')
                .next()
                .is_some_and(|it| it.starts_with(start));
        ensure!(right, "download as {format} is {got:?}");
    }
    page.press(key::ESCAPE).await
}

/// The same without a mouse.
pub(crate) async fn keyboard(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.find("example-cat").await?;
    tab_to(place, "example-cat").await?;
    page.press(key::ENTER).await?;
    page.find("source").await?;
    tab_to(place, "prompt").await?;
    page.press("watercolour of a cat").await?;
    tab_to(place, "strength").await?;
    page.press(key::RIGHT).await?;
    page.press(&format!("{}{}", key::SHIFT, key::RIGHT)).await?;
    let strength = page
        .run("return document.querySelector('#strength').value")
        .await?;
    ensure!(
        strength == "0.56",
        "strength is {strength} after a step of 0.05 and one of 0.01"
    );
    page.press(&format!("{}{}", key::CONTROL, key::ENTER))
        .await?;
    page.result_at(0.56).await?;
    tab_to(place, "more-transformed").await?;
    page.press(key::ENTER).await?;
    page.result_at(0.71).await?;
    tab_to(place, "history").await?;
    page.press(key::ENTER).await?;
    page.opened("history-drawer").await?;
    page.press(key::ESCAPE).await?;
    page.closed("history-drawer").await?;
    let focus = page.focus().await?;
    ensure!(
        focus == "history",
        "the focus is on {focus:?} after the history, expected its button"
    );
    Ok(())
}

/// Presses Tab until the element `name` has the focus.
async fn tab_to(place: &Place, name: &str) -> Result<()> {
    let mut passed = Vec::new();
    for _ in 0..90 {
        place.page.press(key::TAB).await?;
        let focus = place.page.focus().await?;
        if focus == name {
            return Ok(());
        }
        passed.push(focus);
    }
    anyhow::bail!("{name:?} cannot be reached with Tab, which passes {passed:?}")
}
