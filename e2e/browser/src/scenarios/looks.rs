//! How everything looks, wide and narrow, light and dark: screenshots, accessibility, nothing cut off.

use anyhow::{Result, ensure};

use crate::page::{View, key, pictures};
use crate::{Place, axe};

const VIEWS: [(&str, View); 4] = [
    (
        "1280-light",
        View {
            width: 1280,
            height: 860,
            dark: false,
        },
    ),
    (
        "1280-dark",
        View {
            width: 1280,
            height: 860,
            dark: true,
        },
    ),
    (
        "390-light",
        View {
            width: 390,
            height: 844,
            dark: false,
        },
    ),
    (
        "390-dark",
        View {
            width: 390,
            height: 844,
            dark: true,
        },
    ),
];
/// The narrowest window that is promised.
const NARROW: View = View {
    width: 360,
    height: 740,
    dark: false,
};

/// All states of the page, one after the other.
pub(crate) async fn looks(place: &mut Place) -> Result<()> {
    let page = &place.page;
    page.find("example-landscape").await?;
    look(place, "empty").await?;
    page.take_example("portrait").await?;
    page.few_steps().await?;
    page.run("document.querySelector('[data-testid=advanced]').open = false")
        .await?;
    page.find("advice").await?;
    page.fill("prompt", "oil painting, impressionist style, warm palette")
        .await?;
    page.fill("strength-number", "0.65").await?;
    page.find("strength-warning").await?;
    look(place, "source").await?;
    page.fill("strength-number", "0.5").await?;
    page.click("generate").await?;
    page.result_at(0.5).await?;
    look(place, "result").await?;
    page.click("ladder").await?;
    page.find_within("result-2", pictures()).await?;
    page.gone("progress", pictures()).await?;
    page.drawn("ladder-result").await?;
    look(place, "ladder").await?;
    page.click("history").await?;
    page.opened("history-drawer").await?;
    look(place, "history").await?;
    page.press(key::ESCAPE).await?;
    page.closed("history-drawer").await?;
    page.click("tab-generate").await?;
    page.run("document.querySelector('[data-testid=advanced]').open = true")
        .await?;
    look(place, "text").await?;
    page.select("count", "8").await?;
    page.fill("prompt", "a mountain lake in autumn").await?;
    page.click("generate").await?;
    page.job_at_work().await?;
    // One view: the job does not wait.
    let (name, view) = VIEWS[0];
    look_as(place, &format!("making-{name}"), view).await?;
    page.click("cancel").await?;
    page.jobs_when_over().await?;
    Ok(())
}

/// Looks at a state in every view.
pub(super) async fn look(place: &Place, state: &str) -> Result<()> {
    for (name, view) in VIEWS {
        look_as(place, &format!("{state}-{name}"), view).await?;
    }
    place.page.look(NARROW).await?;
    nothing_sticks_out(place, &format!("{state}-360")).await?;
    place.page.look(VIEWS[0].1).await
}

async fn look_as(place: &Place, name: &str, view: View) -> Result<()> {
    let page = &place.page;
    page.look(view).await?;
    let still = "document.getAnimations().every((it) => it.playState !== 'running' \
                 || it.effect?.getComputedTiming().iterations === Infinity)";
    page.until("transitions to end", pictures(), still).await?;
    place.screenshot(name).await?;
    nothing_sticks_out(place, name).await?;
    axe::check(page, name).await
}

/// No page is wider than its window.
async fn nothing_sticks_out(place: &Place, name: &str) -> Result<()> {
    let wide = place
        .page
        .run("return [document.documentElement.scrollWidth, innerWidth]")
        .await?;
    let (Some(page), Some(window)) = (wide[0].as_u64(), wide[1].as_u64()) else {
        anyhow::bail!("{name}: widths are {wide}");
    };
    ensure!(
        page <= window,
        "{name}: {page} pixels wide in a window of {window}"
    );
    Ok(())
}
