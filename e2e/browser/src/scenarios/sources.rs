//! Pictures that come in: refused ones, made ones, our own.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::Place;
use crate::page::{key, pictures};

/// 11 MB, a text, and half a photograph are refused in words; a photograph then does.
pub(crate) async fn refused(place: &mut Place) -> Result<()> {
    place.may_complain = true; // of answers with 415 and 422
    let page = &place.page;
    let photo = fs::read("examples/landscape.jpg")?;
    let mut large = photo.clone();
    large.resize(11 << 20, 0);
    let files: [(&str, &[u8], &[&str]); 3] = [
        ("large.jpg", &large, &["11 MB", "limit is 10 MB"]),
        ("text.jpg", b"not a picture at all", &["no picture"]),
        ("half.jpg", &photo[..photo.len() / 2], &["cannot be used"]),
    ];
    for (name, bytes, words) in files {
        let file = place.out.join(name);
        fs::write(&file, bytes)?;
        page.choose("source-input", &file).await?;
        let said = |word: &str| {
            format!(
                "[...document.querySelectorAll('[data-testid=toast]')].some((it) => it.innerText.includes('{word}'))"
            )
        };
        for word in words {
            page.until(&format!("{word:?} about {name}"), pictures(), &said(word))
                .await?;
        }
        if name == "large.jpg" {
            place.screenshot("refused").await?;
        }
        ensure!(!page.has("source").await?, "{name} became the source");
    }
    page.choose("source-input", Path::new("examples/landscape.jpg"))
        .await?;
    page.drawn("source").await
}

/// A picture from text becomes the source of another one.
pub(crate) async fn text_to_image(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.click("tab-generate").await?;
    page.few_steps().await?;
    page.fill("prompt", "a mountain lake in autumn").await?;
    // A radio button that its picture covers.
    page.find("shape-square")
        .await?
        .send_keys(key::SPACE)
        .await?;
    page.click("generate").await?;
    page.find_within("result", pictures()).await?;
    page.drawn("result").await?;
    ensure!(
        !page.has("before-after").await?,
        "there is nothing before a picture from text"
    );
    page.click("use-as-source").await?;
    page.drawn("source").await?;
    let chosen = "document.querySelector('[data-testid=tab-transform]').ariaSelected === 'true'";
    page.until("the other tab", pictures(), chosen).await?;
    page.fill("prompt", "pencil sketch").await?;
    page.fill("strength-number", "0.6").await?;
    page.click("generate").await?;
    page.result_at(0.6).await?;
    let jobs = page.jobs().await?;
    let kinds: Vec<&str> = jobs.iter().filter_map(|job| job["kind"].as_str()).collect();
    ensure!(kinds == ["transform", "generate"], "jobs are {kinds:?}");
    Ok(())
}

/// A picture we made brings its settings back.
pub(crate) async fn recall(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.take_example("cat").await?;
    page.few_steps().await?;
    page.fill("prompt", "comic book style, bold outlines")
        .await?;
    page.fill("strength-number", "0.45").await?;
    page.click("generate").await?;
    page.result_at(0.45).await?;
    let jobs = page.jobs().await?;
    let job = jobs[0]["id"].as_str().unwrap_or_default();
    let bytes = page
        .run_async(&format!(
            "const answer = await fetch('api/v1/jobs/{job}/results/0?format=png');
             return [...new Uint8Array(await answer.arrayBuffer())];"
        ))
        .await?;
    let byte = |it: &serde_json::Value| it.as_u64().and_then(|it| u8::try_from(it).ok());
    let bytes: Option<Vec<u8>> = bytes
        .as_array()
        .and_then(|all| all.iter().map(byte).collect());
    let file = place.out.join("made.png");
    fs::write(&file, bytes.unwrap_or_default())?;
    page.fill("prompt", "something else").await?;
    page.fill("strength-number", "0.9").await?;
    page.choose("replace-source", &file).await?;
    page.opened("recall-dialog").await?;
    page.click("recall-settings").await?;
    let back = "document.querySelector('#prompt').value === 'comic book style, bold outlines' \
                && document.querySelector('#strength').value === '0.45'";
    page.until("the settings", pictures(), back).await
}
