//! A browser with the page in it, driven through chromedriver.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long something may take to appear that needs no computing.
fn soon() -> Duration {
    Duration::from_secs(20) * patience()
}

/// How long pictures may take.
pub(crate) fn pictures() -> Duration {
    Duration::from_secs(90) * patience()
}

/// How many times as long as on a machine that does nothing else all may take: `PATIENCE`, 1 unless set.
pub(crate) fn patience() -> u32 {
    let set = std::env::var("PATIENCE").ok();
    set.map_or(1, |times| {
        times.parse().expect("PATIENCE is a whole number")
    })
}

/// What WebDriver sends for keys without a character.
pub(crate) mod key {
    pub(crate) const TAB: &str = "\u{e004}";
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const SHIFT: &str = "\u{e008}";
    pub(crate) const CONTROL: &str = "\u{e009}";
    pub(crate) const ESCAPE: &str = "\u{e00c}";
    pub(crate) const SPACE: &str = "\u{e00d}";
    pub(crate) const RIGHT: &str = "\u{e014}";
}

/// chromedriver, running.
#[derive(Debug)]
pub(crate) struct Driver {
    address: String,
    /// Ends with the driver.
    _child: Child,
}

impl Driver {
    /// Starts it on a free port.
    pub(crate) async fn start() -> Result<Self> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start chromedriver")?;
        let said = child.stdout.take().context("chromedriver has no stdout")?;
        let mut lines = BufReader::new(said).lines();
        while let Some(line) = lines.next_line().await? {
            let Some((_, port)) = line.split_once("successfully on port ") else {
                continue;
            };
            let address = format!("http://127.0.0.1:{}", port.trim().trim_end_matches('.'));
            // Whoever stops reading would stop it from writing.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(Self {
                address,
                _child: child,
            });
        }
        bail!("chromedriver ended before it was ready")
    }
}

/// What chromedriver offers beyond WebDriver.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

/// How the page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

/// A browser window of a profile of its own. Names of elements are their `data-testid`.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) client: Client,
}

impl Page {
    /// Opens an empty window of 1280 to 860 pixels. `root` says whether we are root, whom Chromium's sandbox
    /// does not serve.
    pub(crate) async fn open(driver: &Driver, root: bool) -> Result<Self> {
        let mut arguments = vec![
            "--headless=new",
            "--window-size=1280,860",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--force-prefers-reduced-motion",
        ];
        if root {
            arguments.push("--no-sandbox");
        }
        let capabilities = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let Value::Object(capabilities) = capabilities else {
            unreachable!("an object was written");
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.address)
            .await?;
        Ok(Self { client })
    }

    /// Runs a script's body; what it returns comes back.
    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Runs the body of an asynchronous function; what it returns, or why it failed, comes back.
    pub(crate) async fn run_async(&self, body: &str) -> Result<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})()
             .then((value) => done({{ value }}), (error) => done({{ error: String(error) }}));"
        );
        let mut answer = self.client.execute_async(&script, Vec::new()).await?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(anyhow!("{error}")),
            None => Ok(answer["value"].take()),
        }
    }

    /// What the service answers to `GET api/v1/PATH`, asked by the page.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.run_async(&format!(
            "const answer = await fetch('api/v1/{path}');
             if (!answer.ok) throw new Error(`status ${{answer.status}}`);
             return await answer.json();"
        ))
        .await
    }

    /// All jobs, latest first.
    pub(crate) async fn jobs(&self) -> Result<Vec<Value>> {
        let mut page = self.get("jobs?limit=100").await?;
        match page["jobs"].take() {
            Value::Array(jobs) => Ok(jobs),
            other => bail!("jobs is {other}, expected a list"),
        }
    }

    /// Waits until an expression is true.
    ///
    /// Fails with `what` was waited for after `most`.
    pub(crate) async fn until(&self, what: &str, most: Duration, expression: &str) -> Result<()> {
        let end = Instant::now() + most;
        let script = format!("return Boolean({expression})");
        while self.run(&script).await? != Value::Bool(true) {
            if Instant::now() > end {
                bail!("waited {} s in vain for {what}", most.as_secs());
            }
            sleep(Duration::from_millis(60)).await;
        }
        Ok(())
    }

    /// The element `name`, once it is there.
    pub(crate) async fn find(&self, name: &str) -> Result<Element> {
        self.find_within(name, soon()).await
    }

    /// The element `name`, once it is there.
    pub(crate) async fn find_within(&self, name: &str, most: Duration) -> Result<Element> {
        let css = css(name);
        let wait = self
            .client
            .wait()
            .at_most(most)
            .every(Duration::from_millis(60));
        let found = wait.for_element(Locator::Css(&css)).await;
        found.with_context(|| format!("waited {} s in vain for {name:?}", most.as_secs()))
    }

    /// Whether the element `name` is there.
    pub(crate) async fn has(&self, name: &str) -> Result<bool> {
        let there = format!("return Boolean(document.querySelector('{}'))", css(name));
        Ok(self.run(&there).await? == Value::Bool(true))
    }

    /// Waits until the element `name` is not there.
    pub(crate) async fn gone(&self, name: &str, most: Duration) -> Result<()> {
        let expression = format!("!document.querySelector('{}')", css(name));
        self.until(&format!("{name:?} to go"), most, &expression)
            .await
    }

    /// Clicks as soon as it can be clicked: what moves or is covered is tried again.
    pub(crate) async fn click(&self, name: &str) -> Result<()> {
        let end = Instant::now() + soon();
        loop {
            let element = self.find(name).await?;
            match element.click().await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > end => {
                    return Err(error).with_context(|| format!("cannot click {name:?}"));
                }
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// The text of the element `name` as it is shown.
    pub(crate) async fn text(&self, name: &str) -> Result<String> {
        self.find(name).await?; // waits
        let script = format!(
            "return document.querySelector('{}')?.innerText ?? ''",
            css(name)
        );
        let text = self.run(&script).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Types in place of what a field holds, and leaves the field.
    pub(crate) async fn fill(&self, name: &str, text: &str) -> Result<()> {
        let field = self.find(name).await?;
        field.click().await?;
        // Null releases Control.
        let keys = format!("{}a\u{e000}{text}{}", key::CONTROL, key::TAB);
        field.send_keys(&keys).await?;
        Ok(())
    }

    /// Waits until the dialog `name` is open.
    pub(crate) async fn opened(&self, name: &str) -> Result<()> {
        let open = format!("document.querySelector('{}')?.open", css(name));
        self.until(&format!("{name:?} to open"), soon(), &open)
            .await
    }

    /// Waits until the dialog `name` is closed.
    pub(crate) async fn closed(&self, name: &str) -> Result<()> {
        let closed = format!("!document.querySelector('{}')?.open", css(name));
        self.until(&format!("{name:?} to close"), soon(), &closed)
            .await
    }

    /// Gives a file to the file field `name`.
    pub(crate) async fn choose(&self, name: &str, file: &Path) -> Result<()> {
        let path = file
            .canonicalize()
            .with_context(|| file.display().to_string())?;
        let path = path.to_str().context("path is no UTF-8")?;
        self.find(name).await?.send_keys(path).await?;
        Ok(())
    }

    /// Sends keys to whatever has the focus.
    pub(crate) async fn press(&self, keys: &str) -> Result<()> {
        self.client.active_element().await?.send_keys(keys).await?;
        Ok(())
    }

    /// The name of what has the focus, empty for none.
    pub(crate) async fn focus(&self) -> Result<String> {
        let focus = self
            .run("return document.activeElement?.dataset.testid ?? ''")
            .await?;
        Ok(focus.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until every picture in the element `name` is drawn.
    pub(crate) async fn drawn(&self, name: &str) -> Result<()> {
        let expression = format!(
            "[document.querySelector('{}')].every((it) => it && [it, ...it.querySelectorAll('img')]
             .filter((img) => img.tagName === 'IMG' && img.loading !== 'lazy')
             .every((img) => img.complete && img.naturalWidth > 0))",
            css(name)
        );
        self.until(&format!("the pictures of {name:?}"), soon(), &expression)
            .await
    }

    /// Looks at the page as `view` says.
    pub(crate) async fn look(&self, view: View) -> Result<()> {
        let mobile = view.width < 900;
        let size = json!({
            "width": view.width, "height": view.height, "mobile": mobile,
            "deviceScaleFactor": if mobile { 2 } else { 1 },
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await?;
        let scheme = if view.dark { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.devtools("Emulation.setEmulatedMedia", features)
            .await?;
        Ok(())
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.vendor(
            "goog/cdp/execute",
            json!({"cmd": command, "params": parameters}),
        )
        .await
    }

    async fn vendor(&self, path: &'static str, body: Value) -> Result<Value> {
        Ok(self.client.issue_cmd(Vendor { path, body }).await?)
    }

    /// Addresses that were asked for since the last call, those that were refused too.
    pub(crate) async fn requests(&self) -> Result<Vec<String>> {
        let log = self
            .vendor("se/log", json!({"type": "performance"}))
            .await?;
        let mut addresses = Vec::new();
        for entry in log.as_array().into_iter().flatten() {
            let text = entry["message"].as_str().unwrap_or("{}");
            let event: Map<String, Value> = serde_json::from_str(text)?;
            let message = &event["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let address = message["params"]["request"]["url"].as_str();
                addresses.push(address.unwrap_or_default().to_owned());
            }
        }
        Ok(addresses)
    }

    /// Errors that the browser wrote to its console since the last call.
    pub(crate) async fn complaints(&self) -> Result<Vec<String>> {
        let log = self.vendor("se/log", json!({"type": "browser"})).await?;
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(severe.map(|entry| entry["message"].to_string()).collect())
    }
}

fn css(name: &str) -> String {
    format!("[data-testid=\"{name}\"]")
}
