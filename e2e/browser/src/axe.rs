//! Accessibility, judged by axe-core.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::page::Page;

/// Looks at the page as it stands.
///
/// Fails with every finding that axe-core calls serious or critical.
pub(crate) async fn check(page: &Page, what: &str) -> Result<()> {
    let script = Path::new("e2e/browser/node_modules/axe-core/axe.min.js");
    let script = fs::read_to_string(script).context("axe-core is not there, `npm ci` brings it")?;
    if page.run("return typeof window.axe").await? != "object" {
        page.run(&script).await?;
    }
    let found = page
        .run_async(
            "const { violations, passes } = await axe.run(document, { resultTypes: ['violations'] });
             if (passes.length === 0) throw new Error('axe-core checked nothing');
             return violations.filter((it) => ['serious', 'critical'].includes(it.impact)).flatMap((it) =>
               it.nodes.map((node) => `${it.id}: ${node.target.join(' ')}: ${node.failureSummary}`));",
        )
        .await?;
    let found = found.as_array().cloned().unwrap_or_default();
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<&str> = found.iter().filter_map(|it| it.as_str()).collect();
    bail!("{what}: {} findings:\n{}", lines.len(), lines.join("\n"))
}
