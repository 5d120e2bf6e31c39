//! What a run spent its time on, operation by operation: a table for people and a document.

use std::fmt::Write as _;

use imagegen::Operation;
use serde_json::{Value, json};

/// The network that runs at every step.
const STEPPED: &str = "unet";

/// Where the time of a run went.
pub(crate) struct Profile {
    /// Of the whole run.
    seconds: f64,
    /// By network, the longest first.
    operations: Vec<Operation>,
}

impl Profile {
    pub(crate) fn new(seconds: f64, operations: Vec<Operation>) -> Self {
        Self {
            seconds,
            operations,
        }
    }

    /// Networks and what they took in all, in seconds.
    fn networks(&self) -> Vec<(&str, &[Operation], f64)> {
        let groups = self
            .operations
            .chunk_by(|one, two| one.network == two.network);
        let mut networks: Vec<_> = groups
            .map(|group| {
                let seconds = group.iter().map(|one| one.seconds).sum::<f64>();
                (group[0].network.as_str(), group, seconds)
            })
            .collect();
        networks.sort_by(|one, two| two.2.total_cmp(&one.2));
        networks
    }

    /// Seconds outside of all networks: samplers, pictures, files.
    fn rest(&self) -> f64 {
        let within: f64 = self.operations.iter().map(|one| one.seconds).sum();
        (self.seconds - within).max(0.0)
    }

    /// A table for each network; of what runs at each of `steps` steps, one step.
    pub(crate) fn table(&self, steps: usize) -> String {
        let mut text = String::new();
        for (network, operations, seconds) in self.networks() {
            let steps = match network.ends_with(STEPPED) {
                true => steps.max(1),
                false => 1,
            };
            let (title, one) = match steps {
                1 => (network.to_owned(), seconds),
                _ => (
                    format!("{network}, one of {steps} steps"),
                    seconds / steps as f64,
                ),
            };
            let _ = writeln!(text, "{title}: {one:.3} s");
            let width = |of: fn(&Operation) -> &str| {
                let widths = operations.iter().map(|one| of(one).chars().count());
                widths.max().unwrap_or(0)
            };
            let (kinds, shapes) = (width(|one| &one.kind), width(|one| &one.shape));
            let _ = writeln!(
                text,
                "  {:kinds$}  {:shapes$}  calls  seconds  share  GFLOP/s",
                "operation", "shape"
            );
            for one in operations {
                let speed = match one.flop > 0.0 {
                    true => format!("{:.0}", speed(one)),
                    false => "-".to_owned(),
                };
                let _ = writeln!(
                    text,
                    "  {:kinds$}  {:shapes$}  {:>5}  {:>7.4}  {:>4.1}%  {speed:>7}",
                    one.kind,
                    one.shape,
                    one.calls.div_ceil(steps),
                    one.seconds / steps as f64,
                    share(one.seconds, seconds) * 100.0,
                );
            }
        }
        let _ = write!(
            text,
            "outside of networks: {:.3} of {:.3} s",
            self.rest(),
            self.seconds
        );
        text
    }

    /// All of it, for `--json`: sums over the whole run, in which `steps` steps ran.
    pub(crate) fn document(&self, steps: usize) -> Value {
        let networks = self
            .networks()
            .into_iter()
            .map(|(network, operations, seconds)| {
                let operations = operations.iter().map(|one| {
                    json!({
                        "kind": one.kind,
                        "shape": one.shape,
                        "calls": one.calls,
                        "seconds": one.seconds,
                        "share": share(one.seconds, seconds),
                        "gflops": (one.flop > 0.0).then(|| speed(one)),
                    })
                });
                let operations: Vec<_> = operations.collect();
                json!({"network": network, "seconds": seconds, "operations": operations})
            });
        json!({
            "seconds": self.seconds,
            "outside_seconds": self.rest(),
            "steps": steps,
            "networks": networks.collect::<Vec<_>>(),
        })
    }
}

/// Thousand millions of floating-point operations a second.
fn speed(operation: &Operation) -> f64 {
    operation.flop / operation.seconds.max(1e-9) / 1e9
}

fn share(part: f64, whole: f64) -> f64 {
    part / whole.max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(network: &str, kind: &str, calls: usize, seconds: f64, flop: f64) -> Operation {
        Operation {
            network: network.to_owned(),
            kind: kind.to_owned(),
            shape: "64x64x320 > 320".to_owned(),
            calls,
            seconds,
            flop,
        }
    }

    #[test]
    fn sums_add_up_and_a_step_is_a_step() {
        let profile = Profile::new(
            12.0,
            vec![
                operation("decoder", "conv2d 3x3", 3, 2.0, 4e11),
                operation("unet", "attention of 8", 20, 6.0, 3e11),
                operation("unet", "layer_norm", 40, 2.0, 0.0),
            ],
        );
        let document = profile.document(4);
        assert_eq!(document["outside_seconds"], 2.0);
        let networks = document["networks"].as_array().unwrap();
        assert_eq!(networks[0]["network"], "unet", "the longest first");
        assert_eq!(networks[0]["seconds"], 8.0);
        assert_eq!(networks[0]["operations"][0]["share"], 0.75);
        assert_eq!(networks[0]["operations"][0]["gflops"], 50.0);
        assert_eq!(networks[0]["operations"][1]["gflops"], Value::Null);
        let table = profile.table(4);
        assert!(table.contains("unet, one of 4 steps: 2.000 s"), "{table}");
        assert!(table.contains("decoder: 2.000 s"), "{table}");
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert!(
            lines
                .iter()
                .any(|line| line.ends_with(&["5", "1.5000", "75.0%", "50"])),
            "{table}"
        );
        assert!(
            lines
                .iter()
                .any(|line| line.ends_with(&["10", "0.5000", "25.0%", "-"])),
            "{table}"
        );
        assert!(table.ends_with("outside of networks: 2.000 of 12.000 s"));
    }
}
