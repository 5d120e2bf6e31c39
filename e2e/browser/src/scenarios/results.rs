//! Several pictures side by side, and all past ones.

use anyhow::{Context, Result, ensure};

use crate::Place;
use crate::page::{key, pictures};

/// Three strengths side by side, one of them large, the sheet.
pub(crate) async fn ladder(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.take_example("product").await?;
    page.few_steps().await?;
    page.fill("prompt", "oil painting, warm palette").await?;
    page.click("generate").await?;
    page.result_at(0.5).await?;
    page.click("ladder").await?;
    page.find_within("ladder-result", pictures()).await?;
    for index in 0..3 {
        page.find_within(&format!("result-{index}"), pictures())
            .await?;
    }
    page.gone("progress", pictures()).await?;
    page.drawn("ladder-result").await?;
    let text = page.text("ladder-result").await?;
    for strength in ["0.35", "0.5", "0.65"] {
        ensure!(
            text.contains(&format!("Strength {strength}")),
            "no rung at {strength} in {text:?}"
        );
    }
    place.screenshot("ladder").await?;
    let sheet = page
        .run_async(
            "const answer = await fetch(document.querySelector('[data-testid=download-sheet]').href);
             return `${answer.status} ${answer.headers.get('content-type')}`;",
        )
        .await?;
    ensure!(sheet == "200 image/png", "the sheet is {sheet}");
    page.click("result-2").await?;
    page.result_at(0.65).await?;
    page.click("back-to-all").await?;
    page.find("ladder-result").await?;
    Ok(())
}

/// Four of one picture, all different.
pub(crate) async fn variations(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.take_example("cat").await?;
    page.few_steps().await?;
    page.fill("prompt", "watercolour illustration").await?;
    page.fill("strength-number", "0.7").await?;
    page.click("generate").await?;
    page.result_at(0.7).await?;
    page.click("variations").await?;
    for index in 0..4 {
        page.find_within(&format!("result-{index}"), pictures())
            .await?;
    }
    page.gone("progress", pictures()).await?;
    page.drawn("variations-result").await?;
    let jobs = page.jobs().await?;
    let mut seeds: Vec<String> = (0..4)
        .map(|at| jobs[0]["results"][at]["seed"].to_string())
        .collect();
    seeds.sort();
    seeds.dedup();
    ensure!(
        seeds.len() == 4,
        "the seeds of four variations are {seeds:?}"
    );
    Ok(())
}

/// A ladder of chosen strengths; one of its pictures twice as large.
pub(crate) async fn choices(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.take_example("cat").await?;
    page.few_steps().await?;
    page.fill("rungs", "0.8 0.2").await?;
    page.fill("prompt", "pencil sketch").await?;
    page.click("generate").await?;
    page.result_at(0.5).await?;
    page.click("ladder").await?;
    page.find_within("ladder-result", pictures()).await?;
    page.find_within("result-1", pictures()).await?;
    page.gone("progress", pictures()).await?;
    let text = page.text("ladder-result").await?;
    ensure!(
        text.contains("Strength 0.2") && text.contains("Strength 0.8") && !text.contains("0.65"),
        "chosen 0.2 and 0.8, shown {text:?}"
    );
    page.click("result-1").await?;
    page.result_at(0.8).await?;
    let before = page.jobs().await?[0]["results"][1].clone();
    let side = |result: &serde_json::Value, name: &str| result[name].as_u64().unwrap_or_default();
    page.click("upscale").await?;
    let size = format!(
        "{} × {}",
        2 * side(&before, "width"),
        2 * side(&before, "height")
    );
    let shown =
        format!("document.querySelector('[data-testid=result]')?.innerText.includes('{size}')");
    page.until("a result twice as large", pictures(), &shown)
        .await?;
    page.drawn("result").await?;
    place.screenshot("upscaled").await?;
    Ok(())
}

/// Search, favourites, two side by side, gone for good; a reload changes nothing.
pub(crate) async fn history(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.take_example("cat").await?;
    page.few_steps().await?;
    for prompt in ["first: pencil sketch", "second: pixel art"] {
        page.fill("prompt", prompt).await?;
        page.click("generate").await?;
        page.find("progress").await?;
        page.gone("progress", pictures()).await?;
        page.result_at(0.5).await?;
    }
    let jobs = page.jobs().await?;
    let id = |at: usize| jobs[at]["id"].as_str().context("a job without a name");
    let (second, first) = (id(0)?, id(1)?);
    page.click("favourite").await?;
    let pressed = "document.querySelector('[data-testid=favourite]')?.ariaPressed === 'true'";
    page.until("a favourite", pictures(), pressed).await?;
    page.client.refresh().await?;
    page.result_at(0.5).await?;
    page.click("history").await?;
    page.opened("history-drawer").await?;
    let (first_card, second_card) = (format!("history-{first}"), format!("history-{second}"));
    page.find(&first_card).await?;
    page.find(&second_card).await?;
    page.click("history-favourites").await?;
    page.gone(&first_card, pictures()).await?;
    page.find(&second_card).await?;
    page.click("history-favourites").await?;
    page.find(&first_card).await?;
    page.find("history-search")
        .await?
        .send_keys("pencil")
        .await?;
    page.gone(&second_card, pictures()).await?;
    page.find(&first_card).await?;
    page.find("history-search").await?.clear().await?;
    page.find("history-search").await?.send_keys(" ").await?; // tells the page that it changed
    page.find(&second_card).await?;
    page.click("compare").await?;
    for card in [&first_card, &second_card] {
        let open = format!("document.querySelector('[data-testid=\"{card}\"] button').click()");
        page.run(&open).await?;
    }
    page.opened("compare-dialog").await?;
    page.drawn("compare-dialog").await?;
    place.screenshot("compare").await?;
    page.press(key::ESCAPE).await?;
    page.closed("compare-dialog").await?;
    page.click("history").await?;
    page.opened("history-drawer").await?;
    page.find(&first_card).await?;
    let delete = format!(
        "const card = document.querySelector('[data-testid=\"{first_card}\"]');
         card.querySelector('[aria-label=More]').click();
         setTimeout(() => [...card.querySelectorAll('button')].find((it) => it.innerText.includes('Delete')).click(), 200);"
    );
    page.run(&delete).await?;
    page.gone(&first_card, pictures()).await?;
    let left = page.jobs().await?;
    ensure!(
        left.len() == 1 && left[0]["favourite"] == true,
        "left are {left:#?}"
    );
    Ok(())
}
