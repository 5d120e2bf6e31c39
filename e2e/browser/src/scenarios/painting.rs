//! A part of a picture made anew: a mask painted by hand, what it keeps, and that it is not lost.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fantoccini::actions::{
    ActionSequence, InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction, TouchActions,
};
use serde_json::Value;

use super::looks;
use crate::Place;
use crate::page::{Page, View, key, pictures};

/// Paints with the real mouse, undoes, inverts, repaints, and compares every pixel; then once more from what was kept.
pub(crate) async fn repaint(place: &mut Place) -> Result<()> {
    upload_photo(place).await?;
    let page = &place.page;
    page.few_steps().await?;
    page.click("repaint-source").await?;
    page.find("mask").await?;
    covered(page, "Nothing painted").await?;
    page.click("generate").await?;
    let asked = "[...document.querySelectorAll('[data-testid=toast]')].some((it) => it.innerText.includes('Paint over'))";
    page.until("a word about the empty mask", pictures(), asked)
        .await?;

    drag(page, &[(0.3, 0.35), (0.6, 0.45), (0.4, 0.6)], false).await?;
    let once = share(page).await?;
    ensure!(once.contains("% painted"), "painted, and it says {once:?}");
    page.click("mask-undo").await?;
    covered(page, "Nothing painted").await?;
    page.press(&format!("{}{}z", key::CONTROL, key::SHIFT))
        .await?;
    covered(page, &once).await?;
    page.click("mask-invert").await?;
    let other = share(page).await?;
    ensure!(other != once, "{other} inverted and not");
    page.press(&format!("{}z", key::CONTROL)).await?;
    covered(page, &once).await?;
    page.click("tool-box").await?;
    drag(page, &[(0.7, 0.7), (0.9, 0.9)], false).await?;
    page.click("tool-eraser").await?;
    drag(page, &[(0.8, 0.6), (0.8, 0.95)], false).await?;
    let painted = share(page).await?;
    place.screenshot("repaint-editor").await?;

    page.fill("prompt", "oil painting, impressionist style")
        .await?;
    page.click("generate").await?;
    page.find_within("result", pictures()).await?;
    page.drawn("result").await?;
    place.screenshot("repaint-result").await?;
    kept_outside(page).await?;

    // The job brings its mask back, and so does a reload.
    page.click("edit-again").await?;
    page.find("mask").await?;
    covered(page, &painted).await?;
    page.client.refresh().await?;
    page.find("mask").await?;
    covered(page, &painted).await?;
    page.click("close-mask").await?;
    page.drawn("source").await?;
    page.click("repaint-source").await?;
    covered(page, &painted).await?;
    larger(place).await
}

/// A mask on a phone: fingers paint, nothing sticks out, all of it can be had without sight.
pub(crate) async fn repaint_small(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.take_example("portrait").await?;
    page.click("repaint-source").await?;
    page.find("mask").await?;
    let view = View {
        width: 390,
        height: 844,
        dark: false,
    };
    page.look(view).await?;
    let laid = "(({ right, bottom }) => right <= innerWidth && bottom <= innerHeight)(document.querySelector('[data-testid=mask-view]').getBoundingClientRect())";
    page.until("the picture inside the window", pictures(), laid)
        .await?;
    drag(page, &[(0.3, 0.3), (0.7, 0.5)], true).await?;
    let by_finger = share(page).await?;
    ensure!(
        by_finger.contains("% painted"),
        "a finger painted, and it says {by_finger:?}"
    );
    let scrolled = page.run("return scrollY").await?;
    ensure!(scrolled == 0, "a finger that paints scrolls to {scrolled}");
    // Keys alone: into the editor, a dab, the next tool.
    page.run("document.querySelector('[data-testid=mask-view]').focus()")
        .await?;
    page.press(&format!("{}{}", key::ENTER, key::RIGHT)).await?;
    page.run("document.querySelector('[data-testid=tool-brush]').focus()")
        .await?;
    page.press(&format!("{}{}", key::RIGHT, key::SPACE)).await?;
    let chosen = "document.querySelector('[data-testid=tool-eraser]').ariaPressed === 'true'";
    page.until("the eraser", pictures(), chosen).await?;
    looks::look(place, "repaint").await
}

/// A photograph in a format that every program reads to the same pixels.
async fn upload_photo(place: &Place) -> Result<()> {
    let page = &place.page;
    page.find("example-cat").await?;
    let bytes = page
        .run_async(
            "const answer = await fetch('api/v1/examples/cat?side=384');
             const photo = await createImageBitmap(await answer.blob());
             const canvas = new OffscreenCanvas(photo.width, photo.height);
             canvas.getContext('2d').drawImage(photo, 0, 0);
             return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];",
        )
        .await?;
    let byte = |it: &Value| it.as_u64().and_then(|it| u8::try_from(it).ok());
    let bytes: Option<Vec<u8>> = bytes
        .as_array()
        .and_then(|all| all.iter().map(byte).collect());
    let file = place.out.join("photo.png");
    fs::write(&file, bytes.context("no bytes came back")?)?;
    page.choose("source-input", &file).await?;
    page.drawn("source").await
}

/// Moves over the picture while it presses, along places in shares of the picture.
async fn drag(page: &Page, way: &[(f64, f64)], finger: bool) -> Result<()> {
    let place = page
        .run(
            "const it = document.querySelector('[data-testid=mask]').getBoundingClientRect();
             return [it.left, it.top, it.width, it.height];",
        )
        .await?;
    let side = |at: usize| place[at].as_f64().unwrap_or_default();
    let moves = way.iter().map(|(x, y)| PointerAction::MoveTo {
        duration: Some(Duration::from_millis(120)),
        x: (side(0) + x * side(2)).round(),
        y: (side(1) + y * side(3)).round(),
    });
    let mut steps: Vec<PointerAction> = moves.collect();
    let button = MOUSE_BUTTON_LEFT;
    steps.insert(1, PointerAction::Down { button });
    steps.push(PointerAction::Up { button });
    let actions: ActionSequence = if finger {
        let hand = TouchActions::new("finger".to_owned());
        steps.into_iter().fold(hand, InputSource::then).into()
    } else {
        let hand = MouseActions::new("mouse".to_owned());
        steps.into_iter().fold(hand, InputSource::then).into()
    };
    page.client.perform_actions(actions).await?;
    Ok(())
}

/// How much is painted, in the page's words.
async fn share(page: &Page) -> Result<String> {
    page.text("coverage").await
}

async fn covered(page: &Page, words: &str) -> Result<()> {
    let said = format!("document.querySelector('[data-testid=coverage]')?.innerText === '{words}'");
    page.until(&format!("{words:?} as the coverage"), pictures(), &said)
        .await
}

/// Compares the latest result with its source, pixel by pixel, where its mask is 0, and looks for change where it is
/// not.
async fn kept_outside(page: &Page) -> Result<()> {
    let job = page.jobs().await?.remove(0);
    let (id, source) = (job["id"].as_str(), job["order"]["source"].as_str());
    let mask = job["order"]["inpaint"]["mask"].as_str();
    let (id, source, mask) = (
        id.context("no job")?,
        source.context("no source")?,
        mask.context("the job has no mask")?,
    );
    let counted = page
        .run_async(&format!(
            "const pixels = async (path) => {{
               const answer = await fetch(`api/v1/${{path}}`);
               const options = {{ premultiplyAlpha: 'none', colorSpaceConversion: 'none' }};
               const picture = await createImageBitmap(await answer.blob(), options);
               const canvas = new OffscreenCanvas(picture.width, picture.height);
               const context = canvas.getContext('2d');
               context.drawImage(picture, 0, 0);
               return context.getImageData(0, 0, picture.width, picture.height);
             }};
             const [before, mask, after] = await Promise.all(
               [pixels('sources/{source}'), pixels('sources/{mask}'), pixels('jobs/{id}/results/0?format=png')]);
             const sizes = new Set([before, mask, after].map((it) => `${{it.width}}x${{it.height}}`));
             let [outside, changedOutside, inside, changedInside] = [0, 0, 0, 0];
             for (let at = 0; at < mask.data.length; at += 4) {{
               const changed = [0, 1, 2, 3].some((channel) => before.data[at + channel] !== after.data[at + channel]);
               if (mask.data[at] === 0) {{ outside += 1; changedOutside += changed; }}
               else {{ inside += 1; changedInside += changed; }}
             }}
             return [sizes.size, outside, changedOutside, inside, changedInside];"
        ))
        .await?;
    let count = |at: usize| counted[at].as_u64().unwrap_or_default();
    ensure!(
        count(0) == 1,
        "source, mask and result have different sizes"
    );
    ensure!(count(1) > 1000 && count(3) > 1000, "counted {counted}");
    ensure!(
        count(2) == 0,
        "{} of {} pixels outside the mask changed",
        count(2),
        count(1)
    );
    ensure!(
        count(4) * 2 > count(3),
        "of {} pixels inside the mask {} changed",
        count(3),
        count(4)
    );
    Ok(())
}

/// Adds room at the left, without a painted mask.
async fn larger(place: &Place) -> Result<()> {
    let page = &place.page;
    page.click("mask-clear").await?;
    covered(page, "Nothing painted").await?;
    page.run("document.querySelector('[data-testid=expand]').open = true")
        .await?;
    page.fill("expand-left", "64").await?;
    place.screenshot("repaint-larger").await?;
    page.click("generate").await?;
    page.find_within("result", pictures()).await?;
    page.drawn("result").await?;
    place.screenshot("repaint-larger-result").await?;
    let jobs = page.jobs().await?;
    let size = |side: &str| jobs[0]["results"][0][side].as_u64().unwrap_or_default();
    let before = |side: &str| jobs[1]["results"][0][side].as_u64().unwrap_or_default();
    ensure!(
        size("width") == before("width") + 64 && size("height") == before("height"),
        "64 more than {}x{} are {}x{}",
        before("width"),
        before("height"),
        size("width"),
        size("height")
    );
    Ok(())
}
